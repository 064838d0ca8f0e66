"""Global descriptors in a real Postgres: made, replaced, indexed, and the nearest found."""

import time
from dataclasses import replace

import numpy as np
import psycopg
import pytest

from landmark import cli
from landmark.errors import LandmarkError
from landmark.index.describe import describe_table
from landmark.matching.aggregation import Aggregation
from landmark.matching.ranking import Match
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.search.shortlist import Shortlist
from landmark.storage import aggregations
from landmark.storage.aggregations import (
    Description,
    add_aggregation,
    current_aggregation,
    drop_aggregation,
    known_aggregations,
)
from landmark.storage.database import Database
from landmark.storage.descriptions import description_of, save_descriptions, undescribed_ids
from landmark.storage.images import save_image
from landmark.storage.nearest import build_index, nearest
from landmark.storage.partitions import read_partition

MODEL = "model-1"


def rows(database, query, *values):
    with database.connect() as connection:
        return connection.execute(query, values).fetchall()


def numbers(database):
    """Images by the number of what described them."""
    return dict(
        rows(
            database,
            "SELECT aggregation, count(*) FROM landmarks WHERE model = %s GROUP BY 1",
            MODEL,
        )
    )


@pytest.fixture
def places(database, make_view):
    for place in range(12):
        for view in range(3):
            save_image(
                database, f"s3://b/{place:02d}/{view}.jpg", MODEL, "1", make_view(place, view)
            )
    return database


def near(database, ids):
    return sorted(image.image_path for image in read_partition(database, MODEL, ids))


def test_every_image_is_described_once(places):
    assert describe_table(places, MODEL) == 36
    assert numbers(places) == {1: 36}
    assert describe_table(places, MODEL) == 0


def test_the_nearest_show_the_same_place(places, make_view):
    describe_table(places, MODEL)
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "s3://b/04/0.jpg", 40)
    assert near(places, shortlist.take(2)) == ["s3://b/04/1.jpg", "s3://b/04/2.jpg"]


def test_rounds_give_other_images_until_there_are_none(places, make_view):
    describe_table(places, MODEL)
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "s3://b/04/0.jpg", 40)
    taken = [shortlist.take(10) for _ in range(5)]
    assert [len(ids) for ids in taken] == [10, 10, 10, 5, 0]
    assert len({number for ids in taken for number in ids}) == 35


def test_what_was_found_helps_to_find_more(places, make_view):
    """Another place counts as verified: its views come next, which else would come late."""
    describe_table(places, MODEL)
    sure = [Match(50, 60, "s3://b/09/0.jpg"), Match(40, 60, "s3://b/gone.jpg")]
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "s3://b/04/0.jpg", 40)
    shortlist.take(2)
    assert set(near(places, shortlist.take(3, sure))) == {f"s3://b/09/{v}.jpg" for v in range(3)}


def test_the_match_kernel_orders_what_is_nearest(places, make_view):
    """By global descriptors of chance, that is: the kernel alone tells the places apart."""
    describe_table(places, MODEL)
    rng = np.random.default_rng(0)
    dimensions = current_aggregation(places, MODEL).dimensions
    with places.connect() as connection:
        for (number,) in connection.execute("SELECT id FROM landmarks").fetchall():
            vector = rng.normal(size=dimensions).round(3)
            connection.execute(
                "UPDATE landmarks SET global_descriptor = %s::halfvec WHERE id = %s",
                [str(vector.tolist()), number],
            )
    for place in range(12):
        shortlist = Shortlist(places, MODEL, make_view(place, 0), f"s3://b/{place:02d}/0.jpg", 2)
        assert near(places, shortlist.take(2)) == [
            f"s3://b/{place:02d}/{view}.jpg" for view in (1, 2)
        ]


def test_more_than_the_kernel_orders_come_by_global_descriptor(places, make_view, monkeypatch):
    describe_table(places, MODEL)
    monkeypatch.setattr("landmark.search.shortlist.CANDIDATES", 5)
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "s3://b/04/0.jpg", 40)
    assert set(near(places, shortlist.take(2))) == {f"s3://b/04/{view}.jpg" for view in (1, 2)}
    assert len(shortlist.take(40)) == 33


def test_an_aggregation_without_a_match_kernel_serves_until_the_next_night(places, make_view):
    """As a table of an earlier version has it."""
    describe_table(places, MODEL)
    old = replace(current_aggregation(places, MODEL).parameters, kernel=None)
    with places.connect() as connection:
        connection.execute(
            "UPDATE landmark_aggregations SET parameters = %s, kernel = NULL", [old.to_bytes()]
        )
        connection.execute("UPDATE landmarks SET sketch = NULL")
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "s3://b/04/0.jpg", 40)
    assert near(places, shortlist.take(2)) == ["s3://b/04/1.jpg", "s3://b/04/2.jpg"]
    assert len(shortlist.take(40)) == 33
    assert describe_table(places, MODEL) == 36 and numbers(places) == {2: 36}
    assert rows(places, "SELECT count(*) FROM landmarks WHERE sketch IS NULL") == [(0,)]


def test_who_is_described_already_needs_no_parameters(places, make_view, monkeypatch):
    """They are 25 MB for a large table, and what they make of the query stands in its row."""
    describe_table(places, MODEL)
    ((own,),) = rows(places, "SELECT id FROM landmarks WHERE image_path = 's3://b/04/0.jpg'")
    lists, read = {}, []
    parameters = aggregations._read_parameters
    monkeypatch.setattr(
        aggregations,
        "_read_parameters",
        lambda *of: read.append(of) or parameters(*of),
    )
    for path in ("s3://b/04/0.jpg", "s3://b/unknown.jpg"):
        known = known_aggregations(places, MODEL, whole=False)
        shortlist = Shortlist(places, MODEL, make_view(4, 0), path, 40, known, known=[own])
        lists[path] = shortlist.take(40)
        assert len(read) == (path == "s3://b/unknown.jpg")
    assert lists["s3://b/04/0.jpg"] == lists["s3://b/unknown.jpg"]


def test_another_photograph_under_the_same_path_is_described_anew(places, make_view):
    describe_table(places, MODEL)
    (aggregation,) = known_aggregations(places, MODEL)
    path = "s3://b/04/0.jpg"
    stored = description_of(places, MODEL, aggregation, path, make_view(4, 0))
    assert stored is not None and stored.sketch == aggregation.describe(make_view(4, 0)).sketch
    assert description_of(places, MODEL, aggregation, path, make_view(5, 0)) is None
    with places.connect() as connection:
        connection.execute("UPDATE landmarks SET sketch = 'damaged'")
    assert description_of(places, MODEL, aggregation, path, make_view(4, 0)) is None


def test_kernels_of_an_earlier_version_come_beside_their_parameters_at_night(places):
    describe_table(places, MODEL)
    kept = rows(places, "SELECT kernel FROM landmark_aggregations")
    with places.connect() as connection:
        connection.execute("UPDATE landmark_aggregations SET kernel = NULL")
    (aggregation,) = known_aggregations(places, MODEL, whole=False)
    assert aggregation.kernel.to_bytes() == kept[0][0]
    assert describe_table(places, MODEL) == 0
    assert rows(places, "SELECT kernel FROM landmark_aggregations") == kept


def test_new_images_are_described_when_they_are_saved(places, make_view):
    describe_table(places, MODEL)
    aggregation = current_aggregation(places, MODEL)
    save_image(places, "s3://b/new", MODEL, "1", make_view(4, 7), aggregation=aggregation)
    assert numbers(places) == {1: 37}
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "s3://b/04/0.jpg", 40)
    assert "s3://b/new" in near(places, shortlist.take(3))


def test_a_search_finds_old_and_new_while_the_table_is_described_anew(
    places, make_view, monkeypatch
):
    describe_table(places, MODEL)

    class Killed(BaseException):
        pass

    left = [1]

    def save_one_batch(*values):
        if not left:
            raise Killed
        left.pop()
        save_descriptions(*values)

    monkeypatch.setattr("landmark.index.describe.ROWS_AT_ONCE", 10)
    patched = "landmark.index.describe.descriptions.save_descriptions"
    monkeypatch.setattr(patched, save_one_batch)
    with pytest.raises(Killed):
        describe_table(places, MODEL, measure=True)
    monkeypatch.setattr(patched, save_descriptions)
    assert numbers(places) == {1: 26, 2: 10}
    for place in (0, 11):  # the first place has new descriptors, the last old ones
        shortlist = Shortlist(places, MODEL, make_view(place, 0), f"s3://b/{place:02d}/0.jpg", 40)
        found = near(places, shortlist.take(2))
        assert {f"s3://b/{place:02d}/{view}.jpg" for view in (1, 2)} <= set(found)

    assert describe_table(places, MODEL) == 26  # goes on where it was killed
    assert numbers(places) == {2: 36}
    assert [aggregation.number for aggregation in known_aggregations(places, MODEL)] == [2]


def test_what_is_not_described_yet_is_compared_all_the_same(
    places, make_view, dask_client, monkeypatch
):
    describe_table(places, MODEL)
    for view in range(3, 6):  # as written while nothing described
        save_image(places, f"s3://b/04/{view}.jpg", MODEL, "1", make_view(4, view))
    monkeypatch.setattr("landmark.search.planning.EXHAUSTIVE_UP_TO", 5)
    query = Query("s3://b/04/0.jpg", make_view(4, 0))
    arguments = (places, dask_client, MODEL, query, 100)
    found = rank_alone(*arguments, shortlist=8)
    assert (found.mode, found.images_compared) == ("shortlist", 11)
    views = {f"s3://b/04/{view}.jpg" for view in range(1, 6)}
    assert {match.image_path for match in found.matches} == views

    # More than that is no exception any more.
    monkeypatch.setattr("landmark.search.planning.EXHAUSTIVE_UP_TO", 2)
    assert rank_alone(*arguments, shortlist=8).mode == "exhaustive"
    with pytest.raises(LandmarkError, match="no global descriptor yet; run landmark_index"):
        rank_alone(*arguments, mode="shortlist", shortlist=8)


def test_an_aggregation_in_use_is_not_dropped(places, make_view):
    describe_table(places, MODEL)
    old = current_aggregation(places, MODEL)
    drop_aggregation(places, old.number)
    assert current_aggregation(places, MODEL).number == old.number
    describe_table(places, MODEL, measure=True)
    assert current_aggregation(places, MODEL).number != old.number
    # A batch that began before describes nothing by it; the next run does.
    save_image(places, "s3://b/late", MODEL, "1", make_view(4, 7), aggregation=old)
    assert undescribed_ids(places, MODEL, 10) and describe_table(places, MODEL) == 1
    assert undescribed_ids(places, MODEL, 10) == []


def test_a_table_that_has_grown_is_measured_anew(database, make_view):
    for image in range(4):
        save_image(database, f"s3://b/{image}", MODEL, "1", make_view(image))
    describe_table(database, MODEL)
    for image in range(39):
        save_image(database, f"s3://b/{image}", MODEL, "1", make_view(image))
    describe_table(database, MODEL)
    assert set(numbers(database)) == {1}
    save_image(database, "s3://b/39", MODEL, "1", make_view(39))
    describe_table(database, MODEL)
    assert numbers(database) == {2: 40}
    assert current_aggregation(database, MODEL).dimensions == 20


def test_one_image_is_too_few_and_no_fault(database, make_view):
    save_image(database, "s3://b/1", MODEL, "1", make_view(1))
    assert describe_table(database, MODEL) == 0 and known_aggregations(database, MODEL) == []


def test_images_without_features_are_passed_over(places, make_view):
    save_image(places, "s3://b/empty", MODEL, "1", make_view(1, n=0))
    assert describe_table(places, MODEL) == 37 and describe_table(places, MODEL) == 0
    shortlist = Shortlist(places, MODEL, make_view(4, 0), "", 99)
    assert "s3://b/empty" not in near(places, shortlist.take(99))


def test_an_image_that_changed_meanwhile_keeps_what_is_new(places, make_view):
    describe_table(places, MODEL)
    ((number, before),) = rows(
        places, "SELECT id, global_descriptor::text FROM landmarks WHERE image_path = %s",
        "s3://b/04/0.jpg",
    )  # fmt: skip
    dimensions = current_aggregation(places, MODEL).dimensions
    save_descriptions(
        places, 1, [(number, "an older etag", Description(np.ones(dimensions, np.float16)))]
    )
    query = "SELECT global_descriptor::text FROM landmarks WHERE id = %s"
    assert rows(places, query, number) == [(before,)]


def test_a_models_own_global_descriptors_are_used(database, make_view):
    """Nothing is measured: the query's own is compared with the images' own."""
    for place in range(5):
        own = np.eye(5, dtype=np.float16)[place]
        view = replace(make_view(place), global_descriptor=own)
        save_image(database, f"s3://b/{place}", MODEL, "1", view)
    assert describe_table(database, MODEL) == 5 and describe_table(database, MODEL) == 0
    assert current_aggregation(database, MODEL).parameters is None
    query = replace(make_view(7), global_descriptor=np.array([0, 0.1, 0.9, 0.3, 0], np.float16))
    assert near(database, Shortlist(database, MODEL, query, "", 2).take(2)) == [
        "s3://b/2",
        "s3://b/3",
    ]
    with pytest.raises(LandmarkError, match="s3://b/q: no global descriptor"):
        Shortlist(database, MODEL, make_view(7), "s3://b/q", 2)


def test_a_table_of_second_order_pooling_is_brought_up(empty_database, make_view):
    empty_database.migrate(last=3)
    insert = (
        "INSERT INTO landmarks (image_path, model, etag, width, height, n_features, locations,"
        " descriptors, scales, attention, global_descriptor)"
        " VALUES (%s, 'm', '1', 9, 9, 2, '', %s, '', '', %s::halfvec)"
    )
    with empty_database.connect() as connection:
        # 3-d features: six entries above the diagonal. Seven are a model's own.
        for path, n in (("s3://b/pooled", 6), ("s3://b/own", 7)):
            connection.execute(insert, [path, bytes(2 * 3 * 2), str([1] * n)])
    empty_database.migrate()
    query = "SELECT image_path FROM landmarks WHERE global_descriptor IS NOT NULL"
    assert rows(empty_database, query) == [("s3://b/own",)]


# ---- index --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def indexed(postgres):
    """Two models of 3,000 images each; one is indexed, then both. Vectors in clusters, as real."""
    database = Database(postgres.create_database("test_nearest"))
    database.migrate()
    rng = np.random.default_rng(0)
    vectors = {}
    for number, model in enumerate(("model-1", "model-2"), 1):
        centres = rng.normal(size=(200, 64))
        vectors[number] = centres[rng.integers(0, 200, 3000)] + rng.normal(size=(3000, 64))
        add_aggregation(
            database, model, 64, 3000, Aggregation(*(np.zeros((1, 64), np.float32),) * 3)
        )
        with database.connect() as connection:
            statement = (
                "COPY landmarks (image_path, model, etag, width, height, n_features, locations,"
                " descriptors, scales, attention, global_descriptor, aggregation) FROM STDIN"
            )
            with connection.cursor().copy(statement) as copy:
                for image, vector in enumerate(vectors[number]):
                    copy.write_row(
                        [f"s3://b/{image}", model, "", 1, 1, 0, b"", b"", b"", b"",
                         str(vector.round(4).tolist()), number]
                    )  # fmt: skip
    for model in ("model-1", "model-2"):
        assert build_index(database, current_aggregation(database, model), 64)
    return database, vectors


def recall(database, vectors, number, images):
    aggregation = current_aggregation(database, f"model-{number}")
    rng = np.random.default_rng(1)
    found = []
    for query in vectors[number][:30] + 0.5 * rng.normal(size=(30, 64)):
        exact = set(nearest(database, aggregation, query, images, exact=True))
        found.append(len(exact & set(nearest(database, aggregation, query, images))) / images)
    return np.mean(found)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("images", [10, 100, 1000])
def test_the_index_finds_what_an_exact_scan_finds(indexed, number, images):
    database, vectors = indexed
    assert recall(database, vectors, number, images) > 0.98


def test_more_images_than_the_index_holds_at_once(indexed):
    database, vectors = indexed
    aggregation = current_aggregation(database, "model-1")
    assert len(set(nearest(database, aggregation, vectors[1][0], 2500))) == 2500


def test_the_exact_scan_is_exact(indexed):
    database, vectors = indexed
    query = vectors[1][5]
    halves = vectors[1].round(4).astype(np.float16).astype(float)
    cosine = halves @ query / np.linalg.norm(halves, axis=1)
    first = rows(database, "SELECT min(id) FROM landmarks WHERE model = 'model-1'")[0][0]
    expected = [first + image for image in np.argsort(-cosine)[:20]]
    aggregation = current_aggregation(database, "model-1")
    assert nearest(database, aggregation, query, 20, exact=True) == expected


def test_the_index_is_used_and_only_its_models(indexed):
    database, vectors = indexed
    aggregation = current_aggregation(database, "model-1")
    usage = "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE indexrelname LIKE %s"

    def scans():
        with database.connect() as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
        return dict(rows(database, usage, "landmarks_nearest_%"))

    before = scans()
    nearest(database, aggregation, vectors[1][0], 10, except_path="s3://b/0")
    deadline = time.monotonic() + 120
    while (after := scans()) == before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert after["landmarks_nearest_1"] == before["landmarks_nearest_1"] + 1
    assert after["landmarks_nearest_2"] == before["landmarks_nearest_2"]


def test_an_index_is_built_once_and_a_broken_one_again(indexed):
    database, _ = indexed
    aggregation = current_aggregation(database, "model-2")
    assert not build_index(database, aggregation, 64)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        connection.execute("DROP INDEX landmarks_nearest_2")
        # A concurrent build that fails leaves what a killed one leaves.
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(
                "CREATE UNIQUE INDEX CONCURRENTLY landmarks_nearest_2 ON landmarks (model)"
            )
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'landmarks_nearest_2'::regclass"
    assert rows(database, valid) == [(False,)]
    assert build_index(database, aggregation, 64)
    assert rows(database, valid) == [(True,)]


def test_describing_builds_the_index_once_the_table_is_large(places, monkeypatch):
    query = "SELECT to_regclass('landmarks_nearest_1') IS NOT NULL"
    monkeypatch.setattr("landmark.index.describe.EXHAUSTIVE_UP_TO", 36)
    describe_table(places, MODEL)
    assert rows(places, query) == [(False,)]
    monkeypatch.setattr("landmark.index.describe.EXHAUSTIVE_UP_TO", 35)
    describe_table(places, MODEL)
    assert rows(places, query) == [(True,)]
    describe_table(places, MODEL, measure=True)
    assert rows(places, query) == [(False,)]
    assert rows(places, "SELECT to_regclass('landmarks_nearest_2') IS NOT NULL") == [(True,)]


# ---- command ------------------------------------------------------------------------------------


def test_the_command_measures_and_describes(places):
    database = ["--database", places.conninfo]
    assert cli.main(["describe", MODEL, *database]) == 0
    assert numbers(places) == {1: 36}
    assert cli.main(["describe", "--measure", MODEL, *database]) == 0
    assert numbers(places) == {2: 36}


def test_the_command_names_the_models_there_are(places, capsys):
    assert cli.main(["describe", "model-9", "--database", places.conninfo]) == 1
    assert "model-9: the table has no such model; it has model-1" in capsys.readouterr().err


def test_the_command_describes_what_searches_use_unless_it_is_told(places, capsys):
    database = ["--database", places.conninfo]
    assert cli.main(["describe", *database]) == 1
    assert "searches use no model yet" in capsys.readouterr().err
    assert cli.main(["models", "use", MODEL, *database]) == 0
    assert cli.main(["describe", *database]) == 0
    assert numbers(places) == {1: 36}
