"""What the tasks of a search tell in XCom; checked, since others may have the right to write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, FiniteFloat, NonNegativeInt, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict

from landmark.errors import in_one_line

Figure = Annotated[FiniteFloat, Field(ge=0)]


class Folder(TypedDict):
    """Of `extract_query`: where the search writes."""

    folder: str


class Answer(TypedDict):
    """Of `rank_matches`: of several searches, that of the surest, and how many came out how."""

    verdict: str
    matches: NonNegativeInt
    images_compared: NonNegativeInt
    best: str | None
    inliers: NonNegativeInt
    searches: NotRequired[dict[str, NonNegativeInt]]


class Progress(TypedDict):
    """Of `rank_matches` while it runs: so many pairs are compared, and so many a second."""

    done: Figure
    total: Figure
    rate: Figure


FORMS: dict[tuple[str, str], TypeAdapter[Any]] = {
    ("extract_query", "return_value"): TypeAdapter(Folder),
    ("rank_matches", "return_value"): TypeAdapter(Answer),
    ("rank_matches", "progress"): TypeAdapter(Progress),
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
