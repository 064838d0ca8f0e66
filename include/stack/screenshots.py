"""`make screenshots`: the pictures of the pages in docs/, from the demo gallery."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from stack.airflow_api import AirflowApi
from stack.browser import MISSING, find_chromium, log_in, open_browser
from stack.demo import demo
from stack.lifecycle import Session, down, running_session, say
from stack.net import StackError
from stack.state import REPOSITORY, State

DOCS = REPOSITORY / "docs"
MAX_BYTES = 300_000
SIZE = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Shot:
    """One picture.

    Parameters
    ----------
    name : str
        Of its file, without the suffix.
    address : str
        With ``{run}`` for the first search.
    theme : str
    """

    name: str
    address: str
    theme: str = "light"


SHOTS = (
    Shot("searches", "/plugin/landmark"),
    Shot("result", "/dags/landmark_search/runs/{run}/plugin/landmark-run"),
    Shot("pair", "/plugin/landmark/landmark/searches/{run}/pairs/1", "dark"),
    Shot("index", "/plugin/landmark/landmark/index", "dark"),
)


def screenshots(state: State) -> int:
    """Run the demo, take the pictures, and stop what was not running before.

    Raises
    ------
    StackError
        If there is no browser.
    """
    chromium = find_chromium()
    if chromium is None:
        raise StackError(MISSING)
    ran = running_session(state) is not None
    try:
        demo(state)
        session = running_session(state)
        assert session is not None
        take_pictures(session, chromium)
    finally:
        if not ran:
            down(state)
    return 0


def take_pictures(session: Session, chromium: str) -> None:
    """Take the pictures of a running stack that has searched."""
    api = AirflowApi(session.addresses)
    runs = api.call("/api/v2/dags/landmark_search/dagRuns?state=success&order_by=run_after")
    run = quote(runs["dag_runs"][0]["dag_run_id"], safe="")
    with open_browser(chromium) as browser:
        for theme in ("light", "dark"):
            options = {"viewport": SIZE, "color_scheme": theme}
            context = log_in(browser, session.addresses, theme, **options)
            for shot in SHOTS:
                if shot.theme == theme:
                    page = context.new_page()
                    page.goto(shot.address.format(run=run), wait_until="networkidle")
                    page.wait_for_timeout(2000)  # pictures fade in, Airflow's bars grow
                    _save(page.screenshot(), DOCS / f"{shot.name}.png")
                    page.close()
            context.close()


def _save(png: bytes, file: Path) -> None:
    """Write a picture in 256 colours, and as large as the limit allows."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    while True:
        buffer = io.BytesIO()
        image.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
        size = (round(image.width * 0.93), round(image.height * 0.93))
        image = image.resize(size, Image.Resampling.LANCZOS)
    file.write_bytes(buffer.getvalue())
    say(f"  {file.relative_to(REPOSITORY)}  {image.width}x{image.height}  {buffer.tell():,} bytes")
