"""Postgres, one module for each family of tables, and S3."""

# What other wings use; the other rooms are this one's own.
__all__ = [
    "aggregations",
    "blobs",
    "bucket",
    "carried_places",
    "chance",
    "corrections",
    "database",
    "descriptions",
    "edges",
    "images",
    "listings",
    "models",
    "nearest",
    "partitions",
    "place_photographs",
    "places",
    "row_cache",
    "sweeps",
    "watches",
]
