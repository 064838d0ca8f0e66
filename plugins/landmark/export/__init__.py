"""A place, or the whole match graph, for other tools: COLMAP, hloc, whatever reads GraphML."""

# What other wings use; the other rooms are this one's own.
__all__ = ["command"]
