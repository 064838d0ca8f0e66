"""Linking over real Dask workers and a real Postgres."""

import pytest
from graphs import MODEL, both, edges, waiting

from landmark.errors import LandmarkError
from landmark.index import link
from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.matching.pair import MatchingParameters, compare
from landmark.storage.aggregations import current_aggregation
from landmark.storage.database import Database
from landmark.storage.edges import unlinked_ids
from landmark.storage.images import find_image, save_image

PLACES, VIEWS = 6, 4


def path(place, view):
    return f"s3://b/{place}/{view}.jpg"


@pytest.fixture
def places(database, make_view):
    for view in range(VIEWS):
        for place in range(PLACES):
            save_image(database, path(place, view), MODEL, "1", make_view(place, view))
    describe_table(database, MODEL)
    return database


def place_of(name):
    return name.split("/")[3]


def test_views_of_a_place_are_linked_and_others_are_not(places, dask_client):
    assert link_table(places, dask_client, MODEL, 5) == PLACES * VIEWS
    found = edges(places)
    assert len(found) == PLACES * VIEWS * (VIEWS - 1) // 2
    assert all(place_of(first) == place_of(second) for first, second, *_ in found)
    assert waiting(places) == []
    assert link_table(places, dask_client, MODEL, 5) == 0


def test_a_pair_has_what_comparing_the_two_gives(places, dask_client):
    link_table(places, dask_client, MODEL, 5)
    for first, second, inliers, putative in edges(places)[:5]:
        one, two = (find_image(places, name, MODEL)[1] for name in (first, second))
        pairs, verified = compare(one, two, MatchingParameters())
        assert (inliers, putative) == (len(verified.inliers), len(pairs))


def test_the_graph_does_not_depend_on_the_tasks(places, dask_client, monkeypatch):
    link_table(places, dask_client, MODEL, 5)
    expected = edges(places)
    with places.connect() as connection:
        connection.execute("DELETE FROM landmark_matches")
        connection.execute("INSERT INTO landmark_unlinked SELECT id FROM landmarks")
    monkeypatch.setattr(link, "IMAGES_PER_TASK", 1)
    link_table(places, dask_client, MODEL, 5)
    assert edges(places) == expected


def test_new_images_are_linked_to_old_ones(places, dask_client, make_view):
    link_table(places, dask_client, MODEL, 5)
    before = edges(places)
    save_image(places, "s3://b/new.jpg", MODEL, "1", make_view(2, 9))
    assert link_table(places, dask_client, MODEL, 5) == 0  # nothing describes it yet
    describe_table(places, MODEL)
    assert link_table(places, dask_client, MODEL, 5) == 1
    new = [edge for edge in edges(places) if edge not in before]
    assert {first for first, second, *_ in new} == {path(2, view) for view in range(VIEWS)}


def test_a_changed_image_is_linked_again(places, dask_client, make_view):
    link_table(places, dask_client, MODEL, 5)
    save_image(places, path(2, 0), MODEL, "2", make_view(3, 9))
    describe_table(places, MODEL)
    assert link_table(places, dask_client, MODEL, 5) == 1
    linked = {
        place_of(second if first == path(2, 0) else first)
        for first, second, *_ in edges(places)
        if path(2, 0) in (first, second)
    }
    assert linked == {"3"}


def test_what_is_left_is_linked_by_the_next_run(places, dask_client, monkeypatch):
    """The night ends, or a task is killed: what was written stays, and the rest waits."""
    assert link_table(places, dask_client, MODEL, 5, most_s=0) == 0
    assert len(waiting(places)) == PLACES * VIEWS
    monkeypatch.setattr(link, "IMAGES_PER_TASK", 1)
    monkeypatch.setattr(link, "TASKS_PER_WORKER", 1)
    save_edges, calls = link.edges.save_edges, []

    def killed(*arguments):
        if len(calls) == 3:
            raise ConnectionError("killed")
        calls.append(arguments)
        save_edges(*arguments)

    monkeypatch.setattr(link.edges, "save_edges", killed)
    with pytest.raises(ConnectionError):
        link_table(places, dask_client, MODEL, 5)
    assert len(waiting(places)) == PLACES * VIEWS - 3
    monkeypatch.setattr(link.edges, "save_edges", save_edges)
    assert link_table(places, dask_client, MODEL, 5) == PLACES * VIEWS - 3
    assert len(edges(places)) == PLACES * VIEWS * (VIEWS - 1) // 2


def test_no_links_no_graph(places, dask_client):
    assert link_table(places, dask_client, MODEL, 0) == 0
    assert edges(places) == [] and len(waiting(places)) == PLACES * VIEWS


def test_nothing_is_described_yet(database, dask_client, make_view):
    save_image(database, path(0, 0), MODEL, "1", make_view(0))
    assert link_table(database, dask_client, MODEL, 5) == 0


def test_a_damaged_row_is_left_out(places, dask_client):
    with places.connect() as connection:
        connection.execute(
            "UPDATE landmarks SET descriptors = '\\x00' WHERE image_path = %s", [path(1, 1)]
        )
    link_table(places, dask_client, MODEL, 5)
    assert not [edge for edge in edges(places) if path(1, 1) in edge]
    assert len(edges(places)) == (PLACES - 1) * VIEWS * (VIEWS - 1) // 2 + 3
    assert waiting(places) == [path(1, 1)]


def test_two_that_cannot_be_compared_hold_nobody_up(places, monkeypatch):
    """Whatever goes wrong with one pair, nobody foresaw it."""
    compared = []

    def verify_pairs(query, image, *others):
        compared.append(image.image_path)
        if image.image_path == path(1, 1):
            raise ZeroDivisionError
        return original(query, image, *others)

    original = link.verify_pairs
    monkeypatch.setattr(link, "verify_pairs", verify_pairs)
    aggregation = current_aggregation(places, MODEL)
    ids = unlinked_ids(places, aggregation.number, 0, 100)
    found = link.link_images(
        ids,
        database=places,
        model=MODEL,
        aggregation=aggregation,
        kernel=aggregation.kernel,
        candidates=100,
        links=5,
        parameters=MatchingParameters(),
        code=link.CODE_VERSION,
    )
    assert path(1, 1) in compared and found.images == ids
    assert len(found.edges) > (PLACES - 1) * VIEWS * (VIEWS - 1) // 2


def test_a_view_of_two_places_is_linked_to_both(places, dask_client, make_view):
    save_image(places, "s3://b/both.jpg", MODEL, "1", both(make_view, 1, 4, view=9))
    describe_table(places, MODEL)
    link_table(places, dask_client, MODEL, 10)
    linked = {place_of(first) for first, second, *_ in edges(places) if "both" in second}
    assert linked == {"1", "4"}


def test_workers_need_no_more_than_to_read_images(places, dask_client, with_role):
    reader = Database(with_role(places.conninfo, "landmark_reader"))
    assert link_table(places, dask_client, MODEL, 5, worker_database=reader) == PLACES * VIEWS
    assert edges(places)


def test_a_worker_of_another_version_is_refused(places, dask_client, monkeypatch):
    monkeypatch.setattr(link, "CODE_VERSION", "older")
    with pytest.raises((LandmarkError, ConnectionError)):
        link_table(places, dask_client, MODEL, 5)
