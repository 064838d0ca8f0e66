"""Photographs and places that people watch: reports of what new photographs of them came in."""

# What other wings use; the other rooms are this one's own.
__all__ = ["report", "watches"]
