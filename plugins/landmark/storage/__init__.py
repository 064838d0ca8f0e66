"""Postgres, one module for each family of tables, and S3."""

# What other wings use; the other rooms are this one's own.
__all__ = [
    "aggregations",
    "blobs",
    "browsing",
    "bucket",
    "carried_places",
    "chance",
    "corrections",
    "database",
    "descriptions",
    "edges",
    "failures",
    "images",
    "listings",
    "models",
    "nearest",
    "partitions",
    "place_photographs",
    "places",
    "removals",
    "row_cache",
    "sweeps",
    "watches",
]
