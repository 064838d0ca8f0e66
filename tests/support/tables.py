"""What tests of the tables ask and plan."""

from landmark.storage.bucket import S3Object
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
