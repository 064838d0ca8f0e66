"""How well a model and the matching rank photographs of known places."""

# What other wings use; the other rooms are this one's own.
__all__ = ["command", "figures"]
