"""The templates of include/web, and what they may call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from landmark.matching.ranking import word_of
from landmark.search.result import CONTROL_CHARACTERS
from landmark.storage.models import Day

WEB = Path(__file__).resolve().parents[2] / "include" / "web"

GROWTH_WIDTH, GROWTH_HEIGHT = 600, 160
#: Of a duration that is told.
LONGEST_S = 10 * 365 * 86_400


def address(request: Request, *parts: Any, **query: Any) -> str:
    """Where a page is, below where the app is mounted."""
    path = "/".join(quote(str(part), safe="", errors="replace") for part in parts)
    return f"{request.scope['root_path']}/{path}" + (
        f"?{urlencode(query, errors='replace')}" if query else ""
    )


def render(request: Request, name: str, **values: Any) -> str:
    """A page, its `link`s to others of ours and its way to `airflow`'s."""
    airflow = request.scope["root_path"].rsplit("/", 1)[0]
    template = _environment.get_template(name)
    return template.render(link=partial(address, request), airflow=airflow, **values)


def name_of(path: str) -> str:
    """The last part of a path, as it is shown."""
    return _shown(path.rsplit("/", 1)[-1] or path)


def _folder(path: str) -> str:
    return _shown(path[: path.rfind("/") + 1])


def _shown(path: str) -> str:
    return path.translate(CONTROL_CHARACTERS)


def _without(reason: str, path: str) -> str:
    """What a message says, beside the path that it begins with."""
    return _shown(reason.replace(f"{path}: ", ""))


def _when(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(min(seconds, LONGEST_S))))


def _growth_points(days: Sequence[Day]) -> str:
    """The corners of a step curve from the first day to the last, for an SVG polyline."""
    first, span = days[0].day, max(1, (days[-1].day - days[0].day).days)
    top = max(day.images for day in days)
    points: list[tuple[float, float]] = []
    height = float(GROWTH_HEIGHT)
    for day in days:
        x = (day.day - first).days / span * GROWTH_WIDTH
        points.append((x, height))
        height = GROWTH_HEIGHT - day.images / top * (GROWTH_HEIGHT - 8)
        points.append((x, height))
    points += [(GROWTH_WIDTH, height), (GROWTH_WIDTH, GROWTH_HEIGHT)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


_environment = Environment(
    loader=FileSystemLoader(WEB),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    name=name_of,
    folder=_folder,
    shown=_shown,
    without=_without,
    when=_when,
    duration=_duration,
    growth_points=_growth_points,
    number=lambda value: f"{round(value):,}",
    verdict=word_of,
)
