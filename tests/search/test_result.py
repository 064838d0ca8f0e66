"""What a search writes."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from landmark.errors import LandmarkError
from landmark.matching.ranking import Match, Step
from landmark.matching.whereabouts import Whereabouts
from landmark.search.drawing import Pair, draw_chain
from landmark.search.place import FoundPlace
from landmark.search.result import SearchResult, result_folder
from stack.demo import table

RESULT = SearchResult(
    query="s3://b/query.jpg",
    model="delf-1-0123456789ab",
    images_compared=1234,
    index_time="2026-01-02T03:04:05+00:00",
    mode="exhaustive",
    parameters={"top_k": 100, "min_inliers": 12},
    verdict="match",
    matches=[
        Match(
            40,
            90,
            "s3://b/ä b.jpg",
            (),
            1.234e-06,
            overlay=17,
            is_copy=True,
            copies=(Match(39, 88, "s3://b/copy\n.jpg", (), 2e-06),),
        ),
        Match(13, 30, "s3://b/tab\tnewline\n100%.jpg", (), 0.25),
        Match(
            4, 21, "s3://b/far.jpg", (Step(40, "s3://b/ä b.jpg"), Step(35, "s3://b/far.jpg")), 123.4
        ),
    ],
    chance="300000 pairs of the model's photographs",
    place=FoundPlace(17, "The\nlighthouse", 12),
    whereabouts=Whereabouts(41.89021, 12.49223, 1234, 5),
)


def test_the_text_is_the_contract():
    assert RESULT.to_text().decode() == (
        "# query: s3://b/query.jpg\n"
        "# model: delf-1-0123456789ab\n"
        "# images compared: 1234\n"
        "# index time: 2026-01-02T03:04:05+00:00\n"
        "# mode: exhaustive\n"
        "# parameters: top_k=100 min_inliers=12\n"
        "# chance: 300000 pairs of the model's photographs\n"
        "# verdict: match\n"
        "# place: 17, The%0Alighthouse, 12 photographs\n"
        "# whereabouts: 41.89021, 12.49223 (half within 1,234 m, by 5 photographs)\n"
        "# columns: rank, inliers, putative, image_path, expected, via, said, overlay, copy_of\n"
        "1\t40\t90\ts3://b/ä b.jpg\t1.234e-06\t\t\t17\tquery\n"
        "1\t39\t88\ts3://b/copy%0A.jpg\t2e-06\t\t\t0\ts3://b/ä b.jpg\n"
        "2\t13\t30\ts3://b/tab%09newline%0A100%.jpg\t0.25\t\t\t0\t\n"
        "3\t4\t21\ts3://b/far.jpg\t123.4\t40 s3://b/ä b.jpg 35\t\t0\t\n"
    )


def test_the_demo_names_columns_and_verdicts():
    assert table(RESULT, "s3://b/") == [
        "verdict: match, The%0Alighthouse of 12 photographs; "
        f"{RESULT.images_compared} images compared",
        "chance: 300000 pairs of the model's photographs",
        "rank  inliers  expected  verdict    photograph",
        "   1       40   1.2e-06  match      ä b.jpg",
        "   2       13      0.25  uncertain  tab%09newline%0A100%.jpg",
        "   3        4   1.2e+02  by way of  far.jpg",
    ]


def test_no_match_is_a_header_alone():
    text = (
        replace(RESULT, matches=[], verdict="no match", place=None, whereabouts=None)
        .to_text()
        .decode()
    )
    assert text.splitlines()[-2:] == [
        "# verdict: no match",
        "# columns: rank, inliers, putative, image_path, expected, via, said, overlay, copy_of",
    ]


def test_the_json_is_the_same_and_comes_back():
    fields = json.loads(RESULT.to_json())
    assert fields["place"] == {"id": 17, "name": "The\nlighthouse", "photographs": 12}
    assert fields["matches"][1] == {
        "rank": 2,
        "inliers": 13,
        "putative": 30,
        "image_path": "s3://b/tab\tnewline\n100%.jpg",
        "via": [],
        "expected": 0.25,
        "likeness": None,
        "said_same": False,
        "overlay": 0,
        "is_copy": False,
        "copies": [],
    }
    assert fields["matches"][0]["copies"] == [
        {
            "inliers": 39,
            "putative": 88,
            "image_path": "s3://b/copy\n.jpg",
            "via": [],
            "expected": 2e-06,
            "likeness": None,
            "said_same": False,
            "overlay": 0,
            "is_copy": False,
        }
    ]
    assert fields["matches"][2]["via"] == [
        {"inliers": 40, "image_path": "s3://b/ä b.jpg", "said_same": False},
        {"inliers": 35, "image_path": "s3://b/far.jpg", "said_same": False},
    ]
    assert SearchResult.from_json(RESULT.to_json()) == RESULT


def test_whereabouts_are_geojson_and_come_back():
    fields = json.loads(RESULT.to_json())
    assert fields["whereabouts"] == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [12.49223, 41.89021]},
        "properties": {"spread_m": 1234, "photographs": 5},
    }
    for wrong in ("here", {"geometry": {"coordinates": ["x", 1]}, "properties": {}}):
        with pytest.raises(ValueError):  # noqa: PT011
            SearchResult.from_json(json.dumps({**fields, "whereabouts": wrong}).encode())
    del fields["whereabouts"]  # of before there were any
    assert SearchResult.from_json(json.dumps(fields).encode()) == replace(RESULT, whereabouts=None)


def test_what_people_have_said_stands_in_both():
    direct, _, far = RESULT.matches
    near, last = far.via
    matches = [
        direct._replace(inliers=0, said_same=True, overlay=0, is_copy=False, copies=()),
        far._replace(via=(near, last._replace(inliers=0, said_same=True))),
    ]
    said = replace(RESULT, matches=matches)
    assert said.to_text().decode().splitlines()[-2:] == [
        "1\t0\t90\ts3://b/ä b.jpg\t1.234e-06\t\tthe same place\t0\t",
        "2\t4\t21\ts3://b/far.jpg\t123.4\t40 s3://b/ä b.jpg 0\tthe same place\t0\t",
    ]
    assert SearchResult.from_json(said.to_json()) == said


def test_a_result_of_before_there_were_chains_and_chance_is_read():
    fields = json.loads(RESULT.to_json())
    fields["matches"] = [{**fields["matches"][0]}]
    for name in ("via", "expected", "likeness", "said_same", "overlay", "is_copy", "copies"):
        del fields["matches"][0][name]
    del fields["chance"]
    before = SearchResult.from_json(json.dumps(fields).encode())
    assert before.matches == [Match(40, 90, "s3://b/ä b.jpg")] and before.chance == ""
    assert "\ts3://b/ä b.jpg\t\t\t\t0\t\n" in before.to_text().decode()


@pytest.mark.parametrize(
    "copies", [7, [7], [{"inliers": 1}], [{**Match(1, 1, "a")._asdict()}]], ids=str
)
def test_copies_that_no_search_gives_are_refused(copies):
    """Of these the last has copies itself."""
    fields = json.loads(RESULT.to_json())
    fields["matches"][0]["copies"] = copies
    with pytest.raises(ValueError, match="no result of a search"):
        SearchResult.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize("via", [[{"inliers": 9, "image_path": "s3://b/a.jpg"}] * 1000, 7, [7]])
def test_a_chain_that_no_search_gives_is_refused(via):
    fields = json.loads(RESULT.to_json())
    fields["matches"][0]["via"] = via
    with pytest.raises(ValueError, match="a chain that no search gives|validation error"):
        SearchResult.from_json(json.dumps(fields).encode())


def test_a_run_has_its_folder():
    run = "manual__2026-01-02T03:04:05.678+00:00_abc"
    assert result_folder("s3://b/results/", run) == f"s3://b/results/{run}/"


@pytest.mark.parametrize("path", ["s3://b/results/mine", "s3://b/results/a/b/"])
def test_a_results_path_below_the_results_is_taken(path):
    assert result_folder("s3://b/results/", "run", path) == path.rstrip("/") + "/"


@pytest.mark.parametrize(
    ("run_id", "path"),
    [
        ("run", "s3://other/results/mine"),
        ("run", "s3://b/elsewhere/mine"),
        ("run", "s3://b/results"),
        ("run", "s3://b/results/../images"),
        ("run", "s3://b/results//x"),
        ("..", None),
        (".", None),
    ],
)
def test_nothing_is_written_outside_the_results(run_id, path):
    with pytest.raises(LandmarkError, match="not a folder below LANDMARK_RESULTS"):
        result_folder("s3://b/results/", run_id, path)


def test_lines_join_the_inliers():
    grey = np.full((100, 100, 3), 128, np.uint8)
    pair = Pair(grey, grey, np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]]))
    picture = np.asarray(Image.open(io.BytesIO(draw_chain([pair])))).astype(int)
    assert picture.shape == (360, 360 + 8 + 360, 3)
    colourful = picture.max(axis=2) - picture.min(axis=2) > 60
    middle = colourful[180, 180 : 360 + 8 + 180]
    assert middle.mean() > 0.95
    assert colourful[:150].sum() == 0


def test_no_inliers_draw_no_lines():
    grey = np.full((50, 80, 3), 128, np.uint8)
    pair = Pair(grey, grey, np.empty((0, 2)), np.empty((0, 2)))
    assert Image.open(io.BytesIO(draw_chain([pair]))).size == (576 + 8 + 576, 360)
    # The pairs of a chain stand one below the other.
    chain = [pair, pair._replace(image=np.full((50, 50, 3), 128, np.uint8))]
    assert Image.open(io.BytesIO(draw_chain(chain))).size == (576 + 8 + 576, 360 + 8 + 360)
