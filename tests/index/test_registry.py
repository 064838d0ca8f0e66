"""Which model searches use, on a real Postgres and S3, with small real SavedModels."""

from __future__ import annotations

import random
import shutil
from datetime import datetime, timezone

import numpy as np
import pytest
from queries import query_features

import models
from landmark import cli
from landmark.errors import LandmarkError
from landmark.extraction import extractor as extraction
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import BUNDLED_MODEL, ModelConfig, resolve_model
from landmark.index import registry
from landmark.index.describe import describe_table
from landmark.index.extract import extract_batch
from landmark.index.sweep import finish_sweep, plan_sweep
from landmark.matching.pair import MatchingParameters
from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.settings import Settings
from landmark.storage.aggregations import current_aggregation, known_aggregations
from landmark.storage.bucket import read_etag
from landmark.storage.database import Database
from landmark.storage.descriptions import count_described
from landmark.storage.images import count_images, find_image, record_failure, save_image
from landmark.storage.listings import compare_listing
from landmark.storage.models import growth, known_models
from landmark.storage.sweeps import close_sweep

PREFIX = "s3://b/images/"


def settings(path, **changes) -> Settings:
    chosen = {"image_scales": (1.0,), "max_features": 20, "score_threshold": 100.0}
    return Settings(model=str(path), **(chosen | changes))


@pytest.fixture
def old(tmp_path) -> Settings:
    return settings(models.save_hub_model(tmp_path / "old"))


@pytest.fixture
def new(tmp_path) -> Settings:
    return settings(models.save_garden_model(tmp_path / "new"))


@pytest.fixture
def fresh_process():
    """A task is a process of its own: it has loaded no model yet."""
    extraction._load_extractor.cache_clear()
    return extraction._load_extractor.cache_clear


def fingerprint(chosen: Settings) -> str:
    return resolve_model(chosen).fingerprint


@pytest.fixture
def run(database, s3):
    """One landmark_index without Airflow; `batches` of those planned are extracted."""

    def index(chosen, base, name, batches=None, max_batches=1024):
        model = resolve_model(chosen)
        registry.register(database, model)
        planned = plan_sweep(database, s3, name, model.fingerprint, base, "s3://r/", max_batches)
        extractor = load_extractor(registry.sweep_model(database, chosen, name))
        for batch in range(len(planned))[:batches]:
            extract_batch(database, s3, extractor, name, batch)
        if batches is None:
            finish_sweep(database, name)
            describe_table(database, model.fingerprint)
        return registry.switch_after(database, name)

    return index


@pytest.fixture
def bucket(prefix, photograph):
    return prefix({f"{place}.jpg": photograph(place, side=64) for place in range(5)})


def searched(database, chosen) -> str:
    return registry.searched_model(database, chosen).fingerprint


def rows(database, query, *values):
    with database.connect() as connection:
        return connection.execute(query, values).fetchall()


# ---- the switch ---------------------------------------------------------------------------------


def test_a_first_sweep_needs_no_ceremony(database, run, bucket, old, new):
    assert searched(database, old) == fingerprint(old)
    assert run(old, bucket, "1") is True
    assert searched(database, old) == searched(database, new) == fingerprint(old)
    assert run(old, bucket, "2") is False


def test_searches_go_on_with_the_old_model_until_the_new_one_is_complete(
    database, s3, run, bucket, old, new, prefix, photograph, monkeypatch
):
    monkeypatch.setattr(
        "landmark.storage.listings.batch_size", lambda images, *limits: max(1, min(2, images))
    )
    run(old, bucket, "1")
    # Not finished: two batches of three.
    assert run(new, bucket, "2", batches=2) is False
    known = {one.model: one for one in known_models(database)}
    assert known[fingerprint(old)].searched and known[fingerprint(old)].images == 5
    assert not known[fingerprint(new)].searched and known[fingerprint(new)].images == 4

    # A query that no sweep has seen is extracted with the old model, though the settings name
    # the new one.
    path = prefix({"query.jpg": photograph(2, 1, side=64)}) + "query.jpg"
    model = registry.searched_model(database, new)
    assert (model.fingerprint, model.max_distance) == (fingerprint(old), 0.8)
    query_features(database, s3, model, path, add_to_index=True)
    assert find_image(database, path, fingerprint(old)) and not find_image(
        database, path, fingerprint(new)
    )

    # Nothing finished it: the next sweep takes what is left, and searches switch.
    assert run(new, bucket, "3") is True
    assert searched(database, new) == searched(database, old) == fingerprint(new)
    assert count_images(database, fingerprint(old)) == 6  # the query too


def test_other_parameters_are_another_model(database, run, bucket, old):
    run(old, bucket, "1")
    fewer = old.model_copy(update={"max_features": 10})
    assert searched(database, fewer) == fingerprint(old)
    assert registry.searched_model(database, fewer).max_features == 20
    assert run(fewer, bucket, "2") is True
    assert registry.searched_model(database, fewer).max_features == 10


def test_another_distance_is_not(database, run, bucket, old):
    run(old, bucket, "1")
    wider = old.model_copy(update={"max_distance": 1.1})
    assert registry.searched_model(database, wider).max_distance == 1.1


def test_what_is_postponed_keeps_searches_waiting(
    database, run, bucket, old, new, monkeypatch, caplog
):
    monkeypatch.setattr("landmark.storage.listings.batch_size", lambda images, *limits: 2)
    for name in "123":
        run(old, bucket, name, max_batches=2)
    with caplog.at_level("INFO"):
        assert run(new, bucket, "4", max_batches=2) is False
    assert f"{fingerprint(new)} lacks 1 images yet; searches use {fingerprint(old)}" in caplog.text
    assert run(new, bucket, "5", max_batches=2) is True


def test_a_model_that_no_image_suits_is_not_switched_to(
    database, run, prefix, old, new, photograph
):
    run(old, prefix({"a.jpg": photograph(1, side=64)}), "1")
    broken = prefix({"b/broken.jpg": b"no image"}) + "b/"
    assert run(new, broken, "2") is False
    assert searched(database, new) == fingerprint(old)


def test_a_model_that_fails_on_much_of_the_old_one_is_switched_to_only_by_command(
    database, s3, run, prefix, old, new, photograph, caplog
):
    names = [f"{number:02d}.jpg" for number in range(12)]
    base = prefix({name: photograph(1, side=32) for name in names})
    run(old, base, "1")
    for lost, switched in ((2, False), (1, True)):
        for number in range(2):  # of an older object, if it is not to fail any more
            path = base + names[number]
            etag = read_etag(s3, path) if number < lost else "older"
            record_failure(database, path, fingerprint(new), etag, "why")
        caplog.clear()
        with caplog.at_level("INFO"):
            assert run(new, base, f"lost {lost}") is switched
        assert f"{lost} of these failed with the new one" in caplog.text
        assert (f"use {fingerprint(new)}`" in caplog.text) is not switched
    assert searched(database, new) == fingerprint(new)


def test_a_sweep_keeps_its_model_whatever_the_settings_become(database, s3, bucket, old, new):
    model = resolve_model(old)
    registry.register(database, model)
    plan_sweep(database, s3, "s", model.fingerprint, bucket, "s3://r/", 9)
    for chosen in (old, new):
        planned = registry.sweep_model(database, chosen, "s")
        assert planned == model and planned.fingerprint == model.fingerprint
    with pytest.raises(LandmarkError, match="'t' was never planned.*run landmark_index again"):
        registry.sweep_model(database, old, "t")


def test_the_same_model_may_lie_elsewhere_on_each_machine(database, s3, bucket, old, tmp_path):
    registry.register(database, resolve_model(old))
    plan_sweep(database, s3, "s", fingerprint(old), bucket, "s3://r/", 9)
    (tmp_path / "other-machine").mkdir()
    moved = settings(shutil.move(old.model, tmp_path / "other-machine" / "old"))
    assert load_extractor(registry.sweep_model(database, moved, "s")).model.handle == moved.model


def test_going_back_takes_effect_at_once_by_command(database, run, bucket, old, new):
    run(old, bucket, "1")
    run(new, bucket, "2")
    registry.use_model(database, fingerprint(old))
    assert searched(database, old) == fingerprint(old)
    with pytest.raises(LandmarkError, match="nobody-1: the table has no such model; it has "):
        registry.use_model(database, "nobody-1")


# ---- an old model that is gone ------------------------------------------------------------------


def test_without_its_folder_the_old_model_serves_what_is_indexed(
    database, s3, run, bucket, old, new, prefix, photograph, fresh_process
):
    run(old, bucket, "1")
    fresh_process()
    shutil.rmtree(old.model)
    model = registry.searched_model(database, new)
    assert len(query_features(database, s3, model, bucket + "1.jpg", True)) > 0
    path = prefix({"query.jpg": photograph(9, side=64)}) + "query.jpg"
    with pytest.raises(LandmarkError) as caught:
        query_features(database, s3, model, path, True)
    reason = str(caught.value)
    for part in (
        old.model,
        "no such folder",
        model.fingerprint,
        "landmark models use MODEL",
    ):
        assert part in reason
    assert len(reason.splitlines()) == 1


def test_an_old_model_trained_anew_in_its_folder_is_told(
    database, s3, run, bucket, old, prefix, fresh_process
):
    run(old, bucket, "1")
    fresh_process()
    before = fingerprint(old)
    shutil.rmtree(old.model)
    models.save_hub_model(old.model, bias=50.0)
    assert fingerprint(old) != before and searched(database, old) == before
    path = prefix({"query.jpg": b""}) + "query.jpg"
    with pytest.raises(LandmarkError, match=f"is old-.* but {before}.*models use MODEL"):
        query_features(database, s3, registry.searched_model(database, old), path, True)


def test_a_model_from_before_the_registry_is_told(empty_database, old, new):
    empty_database.migrate(last=4)
    insert = (
        "INSERT INTO landmarks (image_path, model, etag, width, height, n_features, locations,"
        " descriptors, scales, attention, indexed_at)"
        " VALUES (%s, %s, '1', 9, 9, 7, '', '', '', '', %s)"
    )
    sweep = (
        "INSERT INTO landmark_sweeps (sweep, model, prefix, finished_at, seen, new, changed,"
        " retried, removed, postponed, indexed, failed, gone)"
        " VALUES (%s, %s, 's3://b/', now() - %s * interval '1 day', 2, 2, 0, 0, 0, %s, 2, 0, 0)"
    )
    with empty_database.connect() as connection:
        for day in (1, 2, 2):
            moment = datetime(2026, 1, day, 23, 30, tzinfo=timezone.utc)
            path = f"s3://b/{day}{random.random()}"
            connection.execute(insert, [path, fingerprint(old), moment])
        connection.execute(insert, ["s3://b/1", fingerprint(new), moment])
        connection.execute(sweep, ["1", fingerprint(old), 5, 0])
        connection.execute(sweep, ["2", fingerprint(new), 1, 100])
    empty_database.migrate()
    assert [(one.model, one.images, one.features, one.searched) for one in
            known_models(empty_database)] == [
        (fingerprint(old), 3, 21, True), (fingerprint(new), 1, 7, False)
    ]  # fmt: skip
    days = growth(empty_database, fingerprint(old))
    assert [(day.day.day, day.images) for day in days] == [(1, 1), (2, 3)]
    with pytest.raises(LandmarkError, match="set LANDMARK_MODEL back to it"):
        registry.searched_model(empty_database, new)
    assert searched(empty_database, old) == fingerprint(old)
    registry.register(empty_database, resolve_model(old))
    assert searched(empty_database, new) == fingerprint(old)


# ---- counts -------------------------------------------------------------------------------------


def test_counts_are_what_the_table_has_whatever_happens_to_it(database, make_view):
    rng = random.Random(0)
    compare_listing(database, "sweep", "model-1", PREFIX, [], max_batches=9)
    for step in range(120):
        model, path = rng.choice(["model-1", "model-2"]), f"{PREFIX}{rng.randrange(12)}"
        action = rng.choice(["save", "save", "save", "fail", "backdate", "fold", "describe"])
        if action == "save":
            save_image(database, path, model, str(step), make_view(step, n=rng.randrange(9)))
        elif action == "fail":
            record_failure(database, path, model, str(step), "why")
        elif action == "fold":
            close_sweep(database, "sweep")
        else:
            change = {
                "backdate": "indexed_at = indexed_at - interval '3 days'",
                "describe": "etag = 'x'",
            }[action]
            with database.connect() as connection:
                connection.execute(f"UPDATE landmarks SET {change} WHERE image_path = %s", [path])
    counted = {(one.model, one.images, one.features, one.newest) for one in known_models(database)}
    real = "SELECT model, count(*), sum(n_features), max(indexed_at) FROM landmarks GROUP BY 1"
    assert counted == set(rows(database, real))
    days = (
        "SELECT day, sum(n) OVER (ORDER BY day)::bigint FROM"
        " (SELECT (indexed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n"
        "  FROM landmarks WHERE model = 'model-1' GROUP BY 1) AS days ORDER BY 1"
    )
    assert [tuple(day) for day in growth(database, "model-1")] == rows(database, days)
    with database.connect() as connection:
        connection.execute("TRUNCATE landmarks CASCADE")
    assert known_models(database) == []


# ---- removal ------------------------------------------------------------------------------------


@pytest.fixture
def two_models(database, make_view, monkeypatch):
    """Model 1 of 30 images, described and indexed; model 2 of 3, which searches use."""
    monkeypatch.setattr("landmark.index.describe.EXHAUSTIVE_UP_TO", 20)
    monkeypatch.setattr("landmark.index.registry.ROWS_AT_ONCE", 10)
    for image in range(30):
        save_image(database, f"{PREFIX}{image}", "model-1", "1", make_view(image, n=9))
    for image in range(3):
        save_image(database, f"{PREFIX}{image}", "model-2", "1", make_view(image, n=9))
    for model in ("model-1", "model-2"):
        record_failure(database, f"{PREFIX}broken", model, "1", "why")
        describe_table(database, model)
    registry.use_model(database, "model-2")
    return database


def contents(database):
    return [
        rows(database, f"SELECT model, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
        for table in ("landmarks", "landmark_failures", "landmark_aggregations")
    ]


ONLY_MODEL_2 = [[("model-2", 3)], [("model-2", 1)], [("model-2", 1)]]


def test_all_of_a_model_goes_and_nothing_of_others(two_models):
    before = contents(two_models)
    registry.remove_model(two_models, "model-1", dry_run=True)
    assert contents(two_models) == before
    assert rows(two_models, "SELECT to_regclass('landmarks_nearest_1') IS NULL") == [(False,)]
    registry.remove_model(two_models, "model-1")
    assert contents(two_models) == ONLY_MODEL_2
    assert rows(two_models, "SELECT to_regclass('landmarks_nearest_1') IS NULL") == [(True,)]
    assert [one.model for one in known_models(two_models)] == ["model-2"]


def test_the_model_that_searches_use_is_kept(two_models):
    before = contents(two_models)
    with pytest.raises(LandmarkError, match="model-2: searches use it; let them use another"):
        registry.remove_model(two_models, "model-2")
    with pytest.raises(LandmarkError, match="model-9: the table has no such model; it has model-1"):
        registry.remove_model(two_models, "model-9")
    assert contents(two_models) == before


def test_a_removal_that_is_killed_goes_on(two_models, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(progress, n):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("landmark.index.registry.Progress.add", killed)
        with pytest.raises(Killed):
            registry.remove_model(two_models, "model-1")
    assert contents(two_models)[0] == [("model-1", 20), ("model-2", 3)]
    registry.remove_model(two_models, "model-1")
    assert contents(two_models) == ONLY_MODEL_2


def test_the_command_lists_switches_and_removes(two_models, capsys):
    def landmark(*words):
        return cli.main(["models", *words, "--database", two_models.conninfo])

    assert landmark("list") == 0
    listed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[1], line[3:]) for line in listed] == [
        ("model-1", "30 images", []),
        ("model-2", "3 images", ["searches use it"]),
    ]
    assert landmark("remove", "model-2") == 1
    assert "searches use it" in capsys.readouterr().err
    assert landmark("use", "model-1") == 0
    assert landmark("remove", "--dry-run", "model-2") == 0
    assert landmark("remove", "model-2") == 0
    assert landmark("use", "model-2") == 1


# ---- a model with global descriptors of its own -------------------------------------------------


def test_a_model_like_delg_is_indexed_and_searched_by_its_own_global_descriptors(
    database, s3, run, prefix, photograph, tmp_path, dask_client, monkeypatch
):
    path = models.save_model_like_delg(tmp_path / "delg", BUNDLED_MODEL)
    chosen = Settings(
        model=str(path), image_scales=(0.5, 1.0), score_threshold=0.1, max_features=500
    )
    base = prefix({f"{p}/{v}.jpg": photograph(p, v) for p in range(6) for v in range(2)})
    run(chosen, base, "1")
    model = resolve_model(chosen)
    described = "SELECT vector_dims(global_descriptor), count(*) FROM landmarks GROUP BY 1"
    assert rows(database, described) == [(48, 12)]
    aggregation = current_aggregation(database, model.fingerprint)
    assert aggregation.parameters is None and aggregation.dimensions == 48
    # What comes afterwards is described as it is saved.
    late = prefix({"query.jpg": photograph(3, -1)}) + "query.jpg"
    query = query_features(database, s3, model, late, add_to_index=True)
    assert count_described(database, model.fingerprint, aggregation.number) == 13
    assert np.linalg.norm(query.global_descriptor.astype(float)) == pytest.approx(1, abs=1e-3)

    found = rank_alone(
        database, dask_client, model.fingerprint, Query(late, query), top_k=10, mode="shortlist",
        shortlist=4, parameters=MatchingParameters(0.85),
    )  # fmt: skip
    assert (found.mode, found.images_compared, found.verdict) == ("shortlist", 4, "match")
    assert {match.image_path for match in found.matches} >= {f"{base}3/0.jpg", f"{base}3/1.jpg"}


def test_a_record_gives_the_same_model_and_does_not_look_at_files(old):
    model = resolve_model(old)
    again = ModelConfig.from_record(model.record(), model.fingerprint)
    assert again == model and again.fingerprint == model.fingerprint
    shutil.rmtree(old.model)
    assert ModelConfig.from_record(model.record(), model.fingerprint).fingerprint.startswith("old-")


def test_two_processes_do_not_describe_at_once(database, make_view):
    """Two that measured at once took each other's aggregation away."""
    from concurrent.futures import ThreadPoolExecutor

    for image in range(30):
        save_image(database, f"{PREFIX}{image}", "model-1", "1", make_view(image, n=9))
    with ThreadPoolExecutor(3) as pool:
        list(
            pool.map(
                lambda _: describe_table(Database(database.conninfo), "model-1", True), range(3)
            )
        )
    numbers = rows(database, "SELECT aggregation, count(*) FROM landmarks GROUP BY 1")
    assert numbers == [(3, 30)] and len(known_aggregations(database, "model-1")) == 1
