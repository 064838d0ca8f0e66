"""Bucket -> rows -> descriptions -> edges -> places, and which model searches use of them."""

# What other wings use; the other rooms are this one's own.
__all__ = [
    "chance",
    "describe",
    "extract",
    "link",
    "listing",
    "photographs",
    "place_corrections",
    "places",
    "registry",
    "sweep",
]
