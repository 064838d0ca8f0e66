"""Pure arrays: putative matches, verification, ranking, and what makes images alike."""

# What other wings use; the other rooms are this one's own.
__all__ = [
    "aggregation",
    "candidates",
    "chance",
    "communities",
    "match_graph",
    "match_kernel",
    "pair",
    "putative",
    "ranking",
    "verification",
    "whereabouts",
]
