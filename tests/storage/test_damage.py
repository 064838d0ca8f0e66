"""A row that something else has damaged is one image's failure: not a search's, not a sweep's."""

from __future__ import annotations

import pytest
from tables import MODEL

from landmark.errors import LandmarkError
from landmark.index.describe import describe_table
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone, rank_table
from landmark.storage.descriptions import described_by
from landmark.storage.images import find_image, save_image
from landmark.storage.partitions import read_partition

NAN, HALF_NAN = r"'\x0000c07f'", r"'\x007e'"
DAMAGES = {
    "locations cut off": "locations = substr(locations, 1, 100)",
    "locations lost": "locations = ''",
    "a location of NaN": f"locations = overlay(locations PLACING {NAN} FROM 5)",
    "descriptors cut off": "descriptors = substr(descriptors, 1, 33)",
    "descriptors lost": "descriptors = ''",
    "a descriptor with NaN": f"descriptors = overlay(descriptors PLACING {HALF_NAN} FROM 41)",
    "descriptors of fewer numbers": "descriptors = substr(descriptors, 1, 60 * 2 * 15)",
    "descriptors of more numbers": r"descriptors = descriptors || substr(descriptors, 1, 120)",
    "fewer descriptors": "descriptors = substr(descriptors, 1, 59 * 2 * 16)",
    "scales cut off": "scales = substr(scales, 1, 8)",
    "a scale of NaN": f"scales = overlay(scales PLACING {NAN} FROM 9)",
    "a scale of zero": r"scales = overlay(scales PLACING '\x00000000' FROM 9)",
    "no size": "width = 0, height = 0",
    "another number of features": "n_features = 7",
    "a negative number of features": "n_features = -1",
}


@pytest.fixture(params=DAMAGES, ids=str)
def damaged(request, database, make_view):
    for view in range(3):
        save_image(database, f"s3://b/{view}.jpg", MODEL, "1", make_view(1, view))
    with database.connect() as connection:
        connection.execute(f"UPDATE landmarks SET {DAMAGES[request.param]} WHERE id = 2")
    return database


def test_it_is_passed_over_by_name_and_the_rest_is_read(damaged, caplog):
    read = [image.image_path for image in read_partition(damaged, MODEL, range(10))]
    assert read == ["s3://b/0.jpg", "s3://b/2.jpg"]
    (line,) = caplog.messages
    assert line.startswith("s3://b/1.jpg: its row is damaged (") and "\n" not in line


def test_it_counts_as_not_indexed_until_it_is_written_again(damaged, make_view):
    assert find_image(damaged, "s3://b/1.jpg", MODEL) is None
    save_image(damaged, "s3://b/1.jpg", MODEL, "1", make_view(1, 1))
    assert find_image(damaged, "s3://b/1.jpg", MODEL) is not None


def test_the_others_are_described(damaged):
    described = described_by(damaged, MODEL, None, 0, 10)
    assert [number for number, _, _ in described] == [1, 2, 3]
    assert len(described[0][2]) == len(described[2][2]) == 60


def test_attention_that_is_lost_is_damage_to_who_needs_it(database, make_view):
    save_image(database, "s3://b/a.jpg", MODEL, "1", make_view(1))
    with database.connect() as connection:
        connection.execute("UPDATE landmarks SET attention = ''")
    assert find_image(database, "s3://b/a.jpg", MODEL) is None
    assert len(list(read_partition(database, MODEL, range(10)))) == 1


SKETCH_DAMAGES = {
    "a sketch cut off": "sketch = substr(sketch, 1, 333)",
    "a sketch with more": r"sketch = sketch || '\x00'",
    "a sketch of other words": r"sketch = overlay(sketch PLACING '\xffff' FROM 1)",
    "an empty sketch": "sketch = ''",
    "a sketch that is lost": "sketch = NULL",
    "a shorter global descriptor": "global_descriptor = '[1, 2]'",
}


@pytest.mark.parametrize("damage", SKETCH_DAMAGES)
def test_a_damaged_description_costs_a_search_nothing_but_its_image(
    database, dask_client, make_view, caplog, damage
):
    for place in range(8):
        for view in range(3):
            save_image(database, f"s3://b/{place}/{view}.jpg", MODEL, "1", make_view(place, view))
    describe_table(database, MODEL, measure=True)
    with database.connect() as connection:
        changed = connection.execute(
            f"UPDATE landmarks SET {SKETCH_DAMAGES[damage]} WHERE image_path = 's3://b/4/1.jpg'"
        )
        assert changed.rowcount == 1
    query = Query("s3://b/q.jpg", make_view(4, 9))
    result = rank_alone(database, dask_client, MODEL, query, 100, mode="shortlist", shortlist=10)
    found = {match.image_path for match in result.matches}
    assert {"s3://b/4/0.jpg", "s3://b/4/2.jpg"} <= found
    (line,) = {line for line in caplog.messages if "is damaged" in line}
    assert line.startswith("s3://b/4/1.jpg: its row is damaged (") and "\n" not in line
    if damage == "a sketch of other words":
        return
    # The next night makes it anew, where its length tells.
    assert describe_table(database, MODEL) == 1
    caplog.clear()
    result = rank_alone(database, dask_client, MODEL, query, 100, mode="shortlist", shortlist=10)
    assert {match.image_path for match in result.matches} == {
        f"s3://b/4/{view}.jpg" for view in range(3)
    }
    assert not any("is damaged" in line for line in caplog.messages)


def test_a_damaged_index_does_not_keep_the_others_from_being_indexed(database, make_view):
    for number in range(12):
        save_image(database, f"s3://b/{number}.jpg", MODEL, "1", make_view(number))
    describe_table(database, MODEL, measure=True)
    with database.connect() as connection:
        connection.execute("UPDATE landmarks SET global_descriptor = '[1, 2]' WHERE id = 2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landmark.index.describe.EXHAUSTIVE_UP_TO", 5)
        assert describe_table(database, MODEL) == 1


def test_a_query_of_other_dimensions_is_that_querys_failure(database, dask_client, make_view):
    for view in range(3):
        save_image(database, f"s3://b/{view}.jpg", MODEL, "1", make_view(1, view))
    queries = [Query("s3://b/x.jpg", make_view(1, 8, d=15)), Query("s3://b/q.jpg", make_view(1, 9))]
    damaged, sound = rank_table(database, dask_client, MODEL, queries, 100)
    assert isinstance(damaged, LandmarkError) and str(damaged).startswith("s3://b/x.jpg: its desc")
    assert len(sound.matches) == 3


def test_a_search_finds_the_others(database, dask_client, make_view):
    for view in range(3):
        save_image(database, f"s3://b/{view}.jpg", MODEL, "1", make_view(1, view))
    with database.connect() as connection:
        for number, damage in enumerate(("descriptors of fewer numbers", "scales cut off"), 1):
            connection.execute(f"UPDATE landmarks SET {DAMAGES[damage]} WHERE id = {number}")
    query = Query("s3://b/q.jpg", make_view(1, 9))
    result = rank_alone(database, dask_client, MODEL, query, 100, min_inliers=3)
    assert [match.image_path for match in result.matches] == ["s3://b/2.jpg"]
