"""What tests of the tables ask and plan."""

import time

from landmark.storage.bucket import S3Object
from landmark.storage.connections import close_idle
from landmark.storage.listings import compare_listing

MODEL = "model-1"
PREFIX = "s3://b/images/"


def listing(*names, etag="1"):
    return [S3Object(f"{PREFIX}{name}", etag, 1000) for name in names]


def plan(database, *names, etag="1", **options):
    options = {"max_batches": 1024, **options}
    return compare_listing(database, "sweep", MODEL, PREFIX, listing(*names, etag=etag), **options)


def rows(database, query):
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def paths(database):
    return [path for (path,) in rows(database, "SELECT image_path FROM landmarks ORDER BY 1")]


def without_autovacuum(database):
    """Only what a test does itself is counted by `toast_blocks`."""
    with database.connect() as connection:
        connection.execute(
            "ALTER TABLE landmarks"
            " SET (autovacuum_enabled = false, toast.autovacuum_enabled = false)"
        )


def toast_blocks(database):
    """Blocks of features that Postgres has read or found in its own memory, ever.

    Sessions count what they read as they end: this process's are ended, others' waited for.
    """
    close_idle()
    others = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    while rows(database, others):
        time.sleep(0.02)
    ((blocks,),) = rows(
        database,
        "SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables"
        " WHERE relname = 'landmarks'",
    )
    return blocks
