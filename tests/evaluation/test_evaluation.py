"""mAP of a labelled folder."""

from __future__ import annotations

import io
import json

import pytest
from graphs import both
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from landmark.evaluation.command import main
from landmark.evaluation.evaluate import evaluate
from landmark.evaluation.labels import (
    LEAVE_ONE_OUT,
    REVISITED,
    LabelledFolder,
    LabelledQuery,
    read_labelled_folder,
)
from landmark.evaluation.reliability import to_table
from landmark.evaluation.scores import average_precision, score
from landmark.evaluation.searching import MODEL, FilledTable, SearchOptions, search_folder
from landmark.extraction.models import BUNDLED_MODEL
from landmark.index.describe import describe_table
from landmark.index.link import link_table
from landmark.matching.pair import MatchingParameters
from landmark.storage.images import save_image


def test_average_precision_by_hand():
    # Right at ranks 1 and 3: (1+1)/2 then (1/2+2/3)/2, over two positives.
    assert average_precision(["a", "x", "b"], frozenset("ab")) == pytest.approx(
        (1 + (0.5 + 2 / 3) / 2) / 2
    )
    assert average_precision(["a", "b", "x"], frozenset("ab")) == 1
    assert average_precision(["x", "y"], frozenset("ab")) == 0


@given(st.permutations("abcdefgh"), st.sets(st.sampled_from("abcdefgh"), min_size=1))
def test_average_precision_is_one_for_the_best_order_and_never_more(ranked, positive):
    positive = frozenset(positive)
    best = sorted(ranked, key=lambda name: name not in positive)
    assert average_precision(ranked, positive) <= average_precision(best, positive) == 1


def test_the_revisited_protocols():
    """Junk is taken out; for easy the hard ones are too, and the other way round."""
    query = LabelledQuery("q", None, frozenset({"e"}), frozenset({"h"}), frozenset({"j"}))
    nothing_hard = LabelledQuery("r", None, frozenset({"e"}), frozenset(), frozenset())
    rankings = {"q": ["j", "h", "e", "x"], "r": ["x", "e"]}
    scores = score(rankings, [query, nothing_hard], REVISITED)
    assert scores["hard"] == 1  # q alone: j and e are out, h is first
    assert scores["medium"] == pytest.approx((1 + 0.25) / 2)
    assert scores["easy"] == pytest.approx((1 + 0.25) / 2)


@pytest.fixture
def places(tmp_path, photograph):
    """Three places of three views each, one folder a place."""
    for place in range(3):
        (tmp_path / f"place-{place}").mkdir()
        for view in range(3):
            (tmp_path / f"place-{place}" / f"{view}.jpg").write_bytes(photograph(place, view))
    return tmp_path


def test_one_folder_for_each_place(places, tmp_path, capsys):
    out, plot = tmp_path / "figures.json", tmp_path / "verdicts.png"
    arguments = [str(places), "--model", str(BUNDLED_MODEL)]
    assert main([*arguments, "--json", str(out), "--plot", str(plot)]) == 0
    figures = json.loads(out.read_text())
    assert figures["images"] == figures["queries"] == 9
    assert figures["map"] == figures["recall_at_1"] == 1
    assert figures["ranking"] == "graph" and figures["link_seconds_per_image"] > 0
    assert figures["direct"] == {"map": 1, "recall_at_1": 1}
    assert figures["extract_seconds_per_image"] > 0
    assert figures["match_ms_per_pair"] > 0 and "reference" not in figures
    assert figures["verdicts"]["true_match"] == 1 and figures["verdicts"]["false_match"] == 0
    assert figures["verdicts"]["absent_match"] == 0
    assert figures["by_inliers"].keys() == figures["verdicts"].keys()
    assert figures["measured"]["cores"] >= 1 and figures["measured"]["date"]
    assert sum(level["right"] for level in figures["reliability"]) == 18
    assert Image.open(plot).format == "PNG"
    assert json.loads(capsys.readouterr().out) == figures
    assert "expected below  verdict" in to_table(figures["reliability"])


def test_rankings_are_what_a_search_lists(database, dask_client, make_view, tmp_path):
    """A view that the query does not match comes before other places, by way of who shows both."""
    views = {
        "a/near.jpg": make_view(1, 1),
        "a/both.jpg": both(make_view, 1, 2),
        "a/far.jpg": make_view(2, 1),
        "b/0.jpg": make_view(5, 0),
        "b/1.jpg": make_view(5, 1),
    }
    folder = LabelledFolder(
        images=dict.fromkeys(views, tmp_path),
        query_files={"query": tmp_path},
        queries=[
            LabelledQuery("query", (0, 0, 1, 1), frozenset(list(views)[:3]), *[frozenset()] * 2)
        ],
        protocols=LEAVE_ONE_OUT,
    )
    for name, features in views.items():
        save_image(database, name, MODEL, "", features)
    describe_table(database, MODEL)
    link_table(database, dask_client, MODEL, 5)
    table = FilledTable(database, {"query": make_view(1, 7)}, images=len(views))
    found = {
        ranking: search_folder(
            table, dask_client, folder, MatchingParameters(), SearchOptions(ranking)
        )["query"]
        for ranking in ("graph", "inliers")
    }
    assert {match.image_path for match in found["graph"][:3]} == set(list(views)[:3])
    assert found["inliers"] == sorted(found["inliers"], key=lambda match: match.rank_key)
    assert len(found["graph"]) == len(found["inliers"]) == len(views)
    # The graph adds what the query did not find; with the query itself all have the same inliers.
    assert {match[:3] for match in found["graph"]} == {match[:3] for match in found["inliers"]}


def test_distractors_lie_in_the_table_and_are_never_right(places, tmp_path, photograph, capsys):
    others = tmp_path / "others" / "deeper"
    others.mkdir(parents=True)
    for number in range(3):
        (others / f"{number}.jpg").write_bytes(photograph(10 + number))
    (others / "broken.jpg").write_bytes(b"no photograph")
    labelled = tmp_path / "labelled"
    labelled.mkdir()
    for place in range(2):
        (tmp_path / f"place-{place}").rename(labelled / f"place-{place}")
    # Of the folder above both, what is labelled itself is no distractor.
    arguments = [str(labelled), "--model", str(BUNDLED_MODEL), "--distractors", str(tmp_path)]
    arguments += ["--mode", "shortlist", "--shortlist", "4", "--ranking", "inliers"]
    assert main(arguments) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["images"] == 6 + 3 + 3 and figures["queries"] == 6
    assert figures["map"] == 1 and figures["ranking"] == "inliers"
    assert figures["direct"] == {"map": figures["map"], "recall_at_1": figures["recall_at_1"]}


def test_a_folder_of_distractors_that_is_not_there_is_named(places, tmp_path, capsys):
    missing = tmp_path / "missing"
    arguments = [str(places), "--model", str(BUNDLED_MODEL), "--distractors", str(missing)]
    assert main(arguments) == 1
    assert str(missing) in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([str(places), "--links", "some"])


def test_the_reference_is_measured_beside_ours(tmp_path, photograph, extractor):
    for place in range(2):
        (tmp_path / str(place)).mkdir()
        for view in range(2):
            (tmp_path / str(place) / f"{view}.jpg").write_bytes(photograph(place, view, side=160))
    figures = evaluate(read_labelled_folder(tmp_path), extractor, with_reference=True)
    assert figures["map"] == 1 and 0 < figures["reference"]["map"] <= 1
    assert figures["match_ms_per_pair"] < figures["reference"]["match_ms_per_pair"]


def test_the_revisited_layout_crops_the_query(places, tmp_path, photograph):
    folder = tmp_path / "revisited"
    (folder / "jpg").mkdir(parents=True)
    for place in range(3):
        (folder / "jpg" / f"{place}.jpg").write_bytes(photograph(place))
    # The query shows place 1 in its box and place 2 beside it.
    sheet = Image.new("RGB", (640, 320))
    for column, place in enumerate((1, 2)):
        sheet.paste(Image.open(io.BytesIO(photograph(place, 1))), (320 * column, 0))
    sheet.save(folder / "jpg" / "query.jpg")
    query = {"image": "query", "bbox": [0, 0, 320, 320], "easy": ["1"], "hard": [], "junk": []}
    labels = {"images": ["0", "1", "2"], "queries": [query]}
    (folder / "gnd.json").write_text(json.dumps(labels))
    out = tmp_path / "figures.json"
    assert main([str(folder), "--model", str(BUNDLED_MODEL), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["easy"] == figures["medium"] == 1
    assert figures["hard"] is None


@pytest.mark.parametrize("arrange", ["nothing", "missing", "label-without-image"])
def test_a_folder_of_neither_layout_is_named(tmp_path, arrange, capsys):
    folder = tmp_path / "folder"
    if arrange != "missing":
        folder.mkdir()
    if arrange == "label-without-image":
        (folder / "gnd.json").write_text('{"images": ["a"], "queries": []}')
    assert main([str(folder)]) == 1
    assert str(folder) in capsys.readouterr().err
