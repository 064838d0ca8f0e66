"""mAP of a labelled folder."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from landmark.evaluation.command import main
from landmark.evaluation.evaluate import evaluate
from landmark.evaluation.labels import REVISITED, LabelledQuery, read_labelled_folder
from landmark.evaluation.scores import average_precision, score
from landmark.extraction.models import BUNDLED_MODEL


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
    out = tmp_path / "figures.json"
    assert main([str(places), "--model", str(BUNDLED_MODEL), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["images"] == figures["queries"] == 9
    assert figures["map"] == figures["recall_at_1"] == 1
    assert figures["extract_seconds_per_image"] > 0
    assert figures["match_ms_per_pair"] > 0 and "reference" not in figures
    assert figures["verdicts"]["true_match"] == 1 and figures["verdicts"]["false_match"] == 0
    assert figures["verdicts"]["absent_match"] == 0
    assert figures["measured"]["cores"] >= 1 and figures["measured"]["date"]
    assert json.loads(capsys.readouterr().out) == figures


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
