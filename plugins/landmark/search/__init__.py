"""A query -> ranked matches: what to compare, the fan-out over Dask, result and pictures."""

# What other wings use; the other rooms are this one's own.
__all__ = [
    "asking",
    "comparison",
    "copies",
    "drawing",
    "framing",
    "lifetimes",
    "pictures",
    "queries",
    "rank",
    "result",
    "searches",
    "seen",
    "single",
    "table",
    "turning",
    "uploads",
]
