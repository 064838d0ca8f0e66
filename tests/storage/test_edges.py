"""The match graph's tables: what is kept, what goes, and what waits."""

import pytest
from graphs import MODEL, edges, waiting

from landmark.errors import LandmarkError
from landmark.index.registry import remove_model
from landmark.storage.edges import (
    EDGES_PER_IMAGE,
    Count,
    Edge,
    copies_among,
    edges_of,
    graph_counts,
    paths_of,
    save_edges,
    versions_of,
)
from landmark.storage.images import record_failure, save_image
from landmark.storage.models import known_models

A, B, C = (f"s3://b/{name}.jpg" for name in "abc")


@pytest.fixture
def three(database, make_view):
    """A database with three images, their ids, and the versions of these."""
    for view, path in enumerate((A, B, C)):
        save_image(database, path, MODEL, "1", make_view(1, view))
    rows = versions_of(database, MODEL, [A, B, C])
    return database, [rows[path][0] for path in (A, B, C)], dict(rows.values())


def test_pairs_are_kept_and_found_from_either_end(three):
    database, (a, b, c), versions = three
    save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], versions, [a, b])
    assert edges(database) == [(A, B, 30, 60), (B, C, 20, 50)]
    assert edges_of(database, [b]) == [Edge(a, b, 30, 60), Edge(b, c, 20, 50)]
    assert edges_of(database, [c]) == [Edge(b, c, 20, 50)]
    assert edges_of(database, []) == []
    assert paths_of(database, [a, c]) == {a: A, c: C}
    assert waiting(database) == [C]


def test_they_are_counted_or_where_there_are_many_estimated(three, make_view):
    database, (a, b, c), versions = three
    save_image(database, A, "model-2", "1", make_view(1))
    save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], versions, [a, b])
    assert graph_counts(database, MODEL) == (Count(2, True), Count(1, True))
    assert graph_counts(database, "model-2") == (Count(0, True), Count(1, True))
    # Nobody has looked at the tables yet; then the planner has.
    assert graph_counts(database, MODEL, 1) == (Count(1, False), Count(1, False))
    with database.connect() as connection:
        connection.execute("ANALYZE landmark_matches, landmark_unlinked")
    assert graph_counts(database, MODEL, 1) == (Count(2, False), Count(2, False))


def test_copies_are_told_among_those_that_are_asked(three):
    database, (a, b, c), versions = three
    found = [Edge(a, b, 60, 60, True), Edge(a, c, 30, 60), Edge(b, c, 50, 60, True)]
    save_edges(database, found, versions)
    assert edges_of(database, [a, b, c]) == found
    assert copies_among(database, MODEL, [C, A, B]) == [(A, B), (B, C)]
    assert copies_among(database, MODEL, [A, C]) == copies_among(database, MODEL, []) == []
    assert copies_among(database, "model-2", [A, B]) == []
    save_edges(database, [Edge(a, b, 30, 60)], versions)
    assert copies_among(database, MODEL, [A, B]) == []


def test_a_pair_that_is_compared_again_is_replaced(three):
    database, (a, b, _), versions = three
    save_edges(database, [Edge(a, b, 30, 60)], versions)
    save_edges(database, [Edge(a, b, 31, 61)], versions)
    assert edges(database) == [(A, B, 31, 61)]


def test_a_changed_image_loses_its_pairs_and_waits_again(three, make_view):
    database, (a, b, c), versions = three
    save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], versions, [a, b, c])
    assert waiting(database) == []
    save_image(database, A, MODEL, "2", make_view(2))
    assert edges(database) == [(B, C, 20, 50)]
    assert waiting(database) == [A]


def test_what_was_compared_before_the_change_is_not_kept(three, make_view):
    """The change came between the comparison and its writing."""
    database, (a, b, c), versions = three
    save_image(database, A, MODEL, "2", make_view(2))
    save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], versions, [a, b, c])
    assert edges(database) == [(B, C, 20, 50)]
    assert waiting(database) == [A]


def test_an_image_that_is_being_changed_holds_nobody_up(three):
    database, (a, b, c), versions = three
    with database.connect() as connection:
        connection.execute("UPDATE landmarks SET etag = '2' WHERE id = %s", [a])
        save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], versions, [a, b, c])
    assert edges(database) == [(B, C, 20, 50)]
    assert waiting(database) == [A]


def test_a_removed_image_takes_its_pairs_along(three):
    database, (a, b, c), versions = three
    save_edges(database, [Edge(a, b, 30, 60), Edge(b, c, 20, 50)], versions, [a])
    record_failure(database, B, MODEL, "2", "no photograph")
    assert edges(database) == [] and waiting(database) == [C]
    save_edges(database, [Edge(a, b, 30, 60)], versions, [b])  # nor do they come back
    assert edges(database) == []


def test_describing_an_image_changes_nothing(three):
    database, (a, b, c), versions = three
    save_edges(database, [Edge(a, b, 30, 60)], versions, [a, b, c])
    with database.connect() as connection:
        connection.execute("UPDATE landmarks SET sketch = '\\x00'")
    assert edges(database) == [(A, B, 30, 60)] and waiting(database) == []


def test_of_an_image_that_many_agree_with_the_surest_pairs_count(database, make_view):
    paths = [f"s3://b/{number:03d}.jpg" for number in range(EDGES_PER_IMAGE + 10)]
    for path in paths:
        save_image(database, path, MODEL, "1", make_view(1, 0, n=1))
    rows = versions_of(database, MODEL, paths)
    ids = [rows[path][0] for path in paths]
    all_of_them = [Edge(ids[0], other, place, 90) for place, other in enumerate(ids[1:], 10)]
    save_edges(database, all_of_them, dict(rows.values()))
    assert edges_of(database, ids[:1]) == all_of_them[-EDGES_PER_IMAGE:]


def test_the_graph_goes_with_its_model(three, make_view):
    database, (a, b, _), versions = three
    save_edges(database, [Edge(a, b, 30, 60)], versions)
    other = "model-2"
    for path in (A, B):
        save_image(database, path, other, "1", make_view(1))
    rows = versions_of(database, other, [A, B])
    ids = sorted(number for number, _ in rows.values())
    save_edges(database, [Edge(ids[0], ids[1], 40, 60)], dict(rows.values()))
    remove_model(database, MODEL)
    assert edges(database) == [(A, B, 40, 60)] and waiting(database) == [A, B]
    assert [one.model for one in known_models(database)] == [other]
    with pytest.raises(LandmarkError):
        remove_model(database, MODEL)


def test_existing_images_wait_once_the_tables_are_there(empty_database):
    empty_database.migrate(9)
    with empty_database.connect() as connection:
        connection.execute(
            "INSERT INTO landmarks (image_path, model, etag, width, height, n_features, locations,"
            " descriptors, scales, attention) VALUES (%s, %s, '1', 640, 480, 0, '', '', '', '')",
            [A, MODEL],
        )
    empty_database.migrate()
    assert waiting(empty_database) == [A]
