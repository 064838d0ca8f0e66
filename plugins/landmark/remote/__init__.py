"""A search from a shell: what a running Airflow is asked by REST, and its answer as a table."""

# What other wings use; the other rooms are this one's own.
__all__ = ["command"]
