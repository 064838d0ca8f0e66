"""One query, as the tests ask for it."""

from landmark.errors import LandmarkError
from landmark.ingest import extract_queries


def query_features(store, s3, model, path, add_to_index):
    ((extracted, found),) = extract_queries(store, s3, model, [path], add_to_index)
    assert extracted == path
    if isinstance(found, LandmarkError):
        raise found
    return found
