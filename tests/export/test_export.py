"""Places and the graph as other tools read them."""

import sqlite3
from itertools import combinations
from pathlib import Path

import h5py
import networkx
import numpy as np
import pytest
from graphs import MODEL

from landmark.cli import main
from landmark.errors import LandmarkError
from landmark.export.colmap import MOST_IDS, export_colmap
from landmark.export.files import written_whole
from landmark.export.scene import names, read_scene
from landmark.extraction.models import ModelConfig
from landmark.index.places import update_places
from landmark.matching.chance import ChanceHistogram
from landmark.matching.pair import DELF_MAX_DISTANCE, compare
from landmark.storage.database import Database
from landmark.storage.edges import Edge, save_edges, versions_of
from landmark.storage.images import save_image
from landmark.storage.models import register_model
from landmark.storage.places import list_places, name_place

VIEWS = 4
PATHS = [f"s3://b/a b/{view}.jpg" for view in range(VIEWS)]


@pytest.fixture(scope="module")
def views(make_view):
    return [make_view(1, view) for view in range(VIEWS)]


@pytest.fixture(scope="module")
def table(postgres, views, make_view):
    """One place of four views, all of whose pairs agree, and a photograph of none."""
    database = Database(postgres.create_database("test_export"))
    database.migrate()
    model = ModelConfig("https://tfhub.dev/x/1", 800, (1.0,), 1000, 0.0, DELF_MAX_DISTANCE)
    register_model(database, MODEL, model.record())
    for path, view in zip(PATHS, views, strict=True):
        save_image(database, path, MODEL, "1", view)
    save_image(database, "s3://b/control\x01 & <other>.jpg", MODEL, "1", make_view(2))
    rows = versions_of(database, MODEL, PATHS)
    ids = [rows[path][0] for path in PATHS]
    edges = []
    for one, two in combinations(range(VIEWS), 2):
        pairs, found = compare(views[one], views[two])
        edges.append(Edge(ids[one], ids[two], len(found.inliers), len(pairs)))
    assert all(edge.inliers >= 30 for edge in edges)
    save_edges(database, edges, dict(rows.values()))
    update_places(database, MODEL, ChanceHistogram((99_000, *[1] * 9)))
    (place,) = list_places(database, MODEL)
    name_place(database, place.id, "Lighthouse", "")
    return database


@pytest.fixture
def place(table):
    return list_places(table, MODEL)[0].id


def run(table, *arguments):
    kind, *rest = map(str, arguments)
    return main(["export", "--database", table.conninfo, kind, *rest])


def test_colmap_gets_images_keypoints_and_what_agrees(table, place, views, tmp_path, capsys):
    file = tmp_path / "out.db"
    assert run(table, "colmap", place, file) == 0
    assert f"{VIEWS} photographs, 6 pairs" in capsys.readouterr().out
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT image_id, name, camera_id FROM images").fetchall()
        assert rows == [(n + 1, f"a b/{n}.jpg", n + 1) for n in range(VIEWS)]
        for number, view in enumerate(views, 1):
            width, height, params = database.execute(
                "SELECT width, height, params FROM cameras WHERE camera_id = ?", (number,)
            ).fetchone()
            assert (width, height) == (view.width, view.height)
            assert np.frombuffer(params).tolist() == [1.2 * 600, 300, 300, 0]
            n, data = database.execute(
                "SELECT rows, data FROM keypoints WHERE image_id = ?", (number,)
            ).fetchone()
            # x, y from the corner of the top left pixel
            expected = view.locations[:, ::-1] + np.float32(0.5)
            assert np.array_equal(np.frombuffer(data, "<f4").reshape(n, 2), expected)
        for (first, one), (second, two) in combinations(enumerate(views, 1), 2):
            pairs, found = compare(one, two)
            key = (first * MOST_IDS + second,)
            for name, expected in (
                ("matches", pairs),
                ("two_view_geometries", pairs[found.inliers]),
            ):
                n, data = database.execute(
                    f"SELECT rows, data FROM {name} WHERE pair_id = ?",
                    key,
                ).fetchone()
                assert np.array_equal(np.frombuffer(data, "<u4").reshape(n, 2), expected)


def test_hloc_gets_features_matches_and_pairs(table, place, views, tmp_path):
    folder = tmp_path / "deep" / "hloc"
    assert run(table, "hloc", place, folder) == 0
    with h5py.File(folder / "features.h5") as file:
        for number, view in enumerate(views):
            group = file[f"a b/{number}.jpg"]
            assert np.array_equal(group["keypoints"][()], view.locations[:, ::-1])
            assert group["descriptors"].shape == (16, 60)
            assert group["image_size"][()].tolist() == [600, 600]
    pairs, found = compare(views[0], views[1])
    with h5py.File(folder / "matches.h5") as file:
        matches = file["a b-0.jpg/a b-1.jpg/matches0"][()]
    agreeing = [(int(one), int(two)) for one, two in enumerate(matches) if two >= 0]
    assert agreeing == sorted(map(tuple, pairs[found.inliers].tolist()))
    lines = (folder / "pairs.txt").read_text().splitlines()
    assert len(lines) == 6 and lines[0] == "a b/0.jpg a b/1.jpg"


def test_graphml_has_every_photograph_and_pair(table, place, tmp_path):
    file = tmp_path / "graph.graphml"
    assert run(table, "graphml", file, "--model", MODEL) == 0
    graph = networkx.read_graphml(file)
    assert len(graph.nodes) == VIEWS + 1 and len(graph.edges) == 6
    nodes = {data["path"]: data for _, data in graph.nodes(data=True)}
    assert nodes[PATHS[0]]["place"] == place and nodes[PATHS[0]]["name"] == "Lighthouse"
    assert "place" not in nodes["s3://b/control\ufffd & <other>.jpg"]
    assert min(data["inliers"] for *_, data in graph.edges(data=True)) >= 30


def test_no_file_is_replaced_and_none_is_left_half_written(table, place, tmp_path, capsys):
    file = tmp_path / "out.db"
    file.write_text("mine")
    assert run(table, "colmap", place, file) == 1
    assert "is there already" in capsys.readouterr().err and file.read_text() == "mine"
    assert run(table, "colmap", place, tmp_path / "no" / "folder.db") == 1
    assert "cannot be written" in capsys.readouterr().err

    def killed():
        with written_whole(tmp_path / "new") as unfinished:
            unfinished.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert [one.name for one in tmp_path.iterdir()] == ["out.db"]


def test_what_cannot_be_exported_is_named(table, tmp_path, capsys):
    assert run(table, "hloc", 10**6, tmp_path) == 1
    assert "place 1000000" in capsys.readouterr().err
    assert run(table, "graphml", tmp_path / "graph", "--model", "none") == 1
    assert "none: the table has no image of it" in capsys.readouterr().err


def test_names_have_a_bucket_only_where_there_are_several():
    assert names(["s3://b/x/1.jpg", "s3://b/2.jpg"]) == ["x/1.jpg", "2.jpg"]
    assert names(["s3://b/1.jpg", "s3://c/1.jpg"]) == ["b/1.jpg", "c/1.jpg"]


def test_the_same_scene_gives_the_same_database(table, place, tmp_path):
    scene = read_scene(table, place)
    for name in "ab":
        export_colmap(scene, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(LandmarkError):
        export_colmap(scene, Path(tmp_path / "a"))
