"""How far verdicts are to be trusted: promises counted beside what turned out."""

from __future__ import annotations

import pytest
from PIL import Image

from landmark.evaluation.chart import COLOURS
from landmark.evaluation.labels import LabelledQuery
from landmark.evaluation.reliability import LEVELS, draw_reliability, reliability, to_table
from landmark.matching.ranking import Match

QUERIES = [
    LabelledQuery(name, None, frozenset({"a"}), frozenset({"b"}), frozenset({"junk"}))
    for name in ("one", "two")
]


def found(**expected: float) -> list[Match]:
    return [Match(20, 40, path, expected=value) for path, value in expected.items()]


RANKED = {
    "one": found(a=1e-9, b=0.03, c=0.03, d=0.5, junk=1e-9, e=40.0),
    "two": found(a=0.02, b=5.0, c=7.0),
}


def test_each_level_counts_what_is_right_and_wrong_there():
    levels = reliability(RANKED, QUERIES)
    counted = {one["expected_below"]: (one["right"], one["wrong"]) for one in levels}
    assert counted == {
        1e-6: (1, 0),
        1e-4: (0, 0),
        0.01: (0, 0),
        0.05: (2, 1),  # the level's lower bound belongs to it, the upper to the next
        0.2: (0, 0),
        1: (0, 1),
        10: (1, 1),  # what is expected still more often stands on no level
    }
    assert [one["verdict"] for one in levels] == [*["match"] * 4, *["uncertain"] * 2, "no match"]


def test_where_the_place_is_absent_levels_add_up():
    levels = {one["expected_below"]: one for one in reliability(RANKED, QUERIES)}
    assert [levels[bound]["absent"] for bound in LEVELS] == [0, 0, 0, 0.5, 0.5, 0.5, 1]
    assert [levels[bound]["found"] for bound in LEVELS] == [0, 0, 0, 0.5, 0.5, 1, 1.5]


def test_the_table_has_a_line_for_each_level_and_the_chart_a_line_for_each_side(tmp_path):
    levels = reliability(RANKED, QUERIES)
    lines = to_table(levels).splitlines()
    assert len(lines) == 2 + len(LEVELS)
    assert lines[5].split() == ["0.05", "match", "2", "1", "50.0%", "0.500"]
    draw_reliability(levels, tmp_path / "chart.png")
    colours = Image.open(tmp_path / "chart.png").convert("RGB").getcolors(1 << 20)
    assert {colour for _, colour in colours} >= {COLOURS[0], COLOURS[1]}


def test_nothing_found_is_drawn_as_no_point(tmp_path):
    levels = reliability({"one": found(a=1e-9), "two": []}, QUERIES)
    draw_reliability(levels, tmp_path / "chart.png")
    colours = Image.open(tmp_path / "chart.png").convert("RGB").getcolors(1 << 20)
    assert COLOURS[1] not in {colour for _, colour in colours}


@pytest.mark.parametrize("expected", [1e-6, 0.05])
def test_a_bound_begins_the_next_level(expected):
    levels = reliability({"one": found(a=expected), "two": []}, QUERIES)
    (level,) = (number for number, one in enumerate(levels) if one["right"])
    assert level == LEVELS.index(expected) + 1
