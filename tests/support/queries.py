"""One query, as the tests ask for it."""

from landmark.errors import LandmarkError
from landmark.search.queries import extract_queries


def query_features(database, s3, model, path, add_to_index, **options):
    ((extracted, found),) = extract_queries(database, s3, model, [path], add_to_index, **options)
    assert extracted == path
    if isinstance(found, LandmarkError):
        raise found
    return found
