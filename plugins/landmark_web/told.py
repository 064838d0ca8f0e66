"""What our tasks tell in XCom; checked, since others may have the right to write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import NotRequired, TypedDict

from landmark.errors import in_one_line

Figure = Annotated[FiniteFloat, Field(ge=0)]


class Folder(TypedDict):
    """Of `extract_query`: where the search writes."""

    folder: str


class Place(TypedDict):
    """Which one a search has found."""

    id: NonNegativeInt
    name: str | None
    photographs: NonNegativeInt


class Answer(TypedDict):
    """Of `rank_matches`: of several searches, that of the surest, and how many came out how."""

    verdict: Literal["match", "uncertain", "no match"]
    query: NotRequired[str]
    matches: NonNegativeInt
    images_compared: NonNegativeInt
    best: str | None
    inliers: NonNegativeInt
    place: NotRequired[Place]
    searches: NotRequired[dict[str, NonNegativeInt]]


def _whole(answer: Answer) -> Answer:
    if answer["matches"] and answer["best"] is None:
        raise ValueError("matches, and no best")
    return answer


class Progress(TypedDict):
    """Of `rank_matches` while it runs: so many pairs are compared, and so many a second.

    It counts anew when it looks again at photographs, turned, that have found nothing.
    """

    done: Figure
    total: Figure
    rate: Figure
    turned: NotRequired[bool]


class Cancelled(TypedDict):
    """Of our pages: who has cancelled a run, and how often it had been cleared by then."""

    user: str
    clear_number: NonNegativeInt


class Summary(TypedDict):
    """Of `summarise`: what a sweep did."""

    seen: NonNegativeInt
    new: NonNegativeInt
    changed: NonNegativeInt
    removed: NonNegativeInt
    indexed: NonNegativeInt
    failed: NonNegativeInt
    seconds: Figure


#: Beside what the first task tells: Airflow forgets it when that begins anew.
CANCELLED = ("extract_query", "cancelled")
FORMS: dict[tuple[str, str], TypeAdapter[Any]] = {
    ("extract_query", "return_value"): TypeAdapter(Folder),
    ("rank_matches", "return_value"): TypeAdapter(Annotated[Answer, AfterValidator(_whole)]),
    ("rank_matches", "progress"): TypeAdapter(Progress),
    CANCELLED: TypeAdapter(Cancelled),
    ("summarise", "return_value"): TypeAdapter(Summary),
}
REASON: TypeAdapter[str] = TypeAdapter(str)


def sound(told: Mapping[tuple[str, str], Any]) -> tuple[dict[tuple[str, str], Any], str | None]:
    """What has the form that our tasks give it, by (task, key); and what is wrong with the rest."""
    found: dict[tuple[str, str], Any] = {}
    damage = None
    for (task, key), value in told.items():
        form = REASON if key == "reason" else FORMS.get((task, key))
        if form is None:
            continue
        try:
            found[task, key] = form.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            reason = f"{where}: {first['msg']}" if where else first["msg"]
            damage = in_one_line(
                f"XCom {key} of {task}: damaged ({reason}); clear the task, and it is written anew"
            )
    return found, damage
