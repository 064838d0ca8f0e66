"""What a run's note says, by Airflow's own tables; also of an XCom that is not our tasks'."""

from __future__ import annotations

import pytest

QUERY = "s3://b/queries/a.jpg"
ANSWER, SUMMARY = ("rank_matches", "return_value"), ("summarise", "return_value")
FOUND = {
    "verdict": "match",
    "query": QUERY,
    "matches": 1,
    "images_compared": 2,
    "best": "s3://b/x.jpg",
    "inliers": 9,
}
COUNTS = ("seen", "new", "changed", "removed", "indexed", "failed")
SWEPT = {**dict.fromkeys(COUNTS, 3), "seconds": 5.0, "model": "m"}
NO_CLASS = {"__classname__": "no.such.Class", "__version__": 1, "__data__": 5}


@pytest.fixture
def note(site, request):
    """Writes a run and has it noted; gives the note as it is stored."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from landmark_ui import write_note

    def written(xcoms, conf=None, dag_id="landmark_search", name=""):
        run_id = f"{request.node.name} {name}"
        site.run(run_id, {"image_path": QUERY} if conf is None else conf, xcoms, dag_id)
        for step in (write_note, lambda run: None):
            with create_session(scoped=False) as session:
                run = session.scalar(select(DagRun).where(DagRun.run_id == run_id))
                step(run)
                stored = run.note
        return stored

    return written


def test_it_says_what_was_found(note):
    assert note({ANSWER: FOUND}).startswith(
        f"**match**: `{QUERY}`; 1 of 2 images ranked, first `s3://b/x.jpg`; the surest has 9 "
        "inliers. [Look"
    )
    place = {"id": 17, "name": "The `*light*`\nhouse", "photographs": 12}
    assert note({ANSWER: {**FOUND, "place": place}}, name="named").startswith(
        f"**match**: `{QUERY}`; `The '*light*' house`, 12 photographs; 1 of 2 images ranked"
    )
    place = {"id": 17, "name": None, "photographs": 1}
    assert note({ANSWER: {**FOUND, "place": place}}, name="unnamed").startswith(
        f"**match**: `{QUERY}`; place 17, 1 photograph; 1 of 2"
    )
    assert note({SUMMARY: SWEPT}, dag_id="landmark_index", name="sweep").startswith(
        "3 images seen: 3 new, 3 changed, 3 removed, 3 indexed, 3 failed, in 5 s. [Look at it]("
    )


@pytest.mark.parametrize(
    "asked", [QUERY, [QUERY, QUERY], "s3://b/queries/"], ids=["one", "several", "prefix"]
)
@pytest.mark.parametrize(
    "value",
    [
        "match",
        ["matches"],
        5,
        NO_CLASS,
        {},
        {**FOUND, "searches": ["match"]},
        {**FOUND, "searches": {"match": "x"}},
        {**FOUND, "matches": "many"},
        {**FOUND, "best": 5},
        {**FOUND, "best": None},
        {**FOUND, "verdict": "x" * 2000},
    ],
    ids=lambda value: str(value)[-40:],
)
def test_an_answer_of_another_form_is_the_runs_error(note, asked, value):
    assert note({ANSWER: value}, {"image_path": asked}).startswith(
        f"**failed**: `{asked if isinstance(asked, str) else QUERY}`"
    )
    told = note({ANSWER: value}, {"image_path": asked}, name="again")
    assert "`XCom return_value of rank_matches: damaged (" in told and len(told) <= 1000


@pytest.mark.parametrize("value", ["x", NO_CLASS, {**SWEPT, "seconds": "x"}, {"seen": 3}])
def test_a_summary_of_another_form_is_the_runs_error(note, value):
    told = note({SUMMARY: value}, dag_id="landmark_index")
    assert told.startswith("**failed**: `XCom return_value of summarise: damaged (")


def test_a_reason_of_another_form_and_other_oddities(note):
    told = note({("extract_query", "reason"): {"a": 1}})
    assert f"**failed**: `{QUERY}`; `XCom reason of extract_query: damaged (" in told
    for number, (conf, answer) in enumerate(
        [
            (["x"], FOUND),
            ({"image_path": 5}, FOUND),
            ({"image_path": []}, FOUND),
            ({"image_path": QUERY}, {**FOUND, "searches": {}}),
            ({"image_path": QUERY}, {**FOUND, "matches": int("9" * 300)}),
        ]
    ):
        told = note({ANSWER: answer}, conf, name=str(number))
        assert told.startswith("**") and len(told) <= 1000
