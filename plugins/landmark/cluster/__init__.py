"""A Dask client: of one worker per CPU, of workers at an address, or of pods."""

# What other wings use; the other rooms are this one's own.
__all__ = ["client", "tasks", "warm_models", "workers"]
