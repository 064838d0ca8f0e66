"""A real browser on the pages' app, without a stack."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from served import served

from stack.browser import MISSING, find_chromium, open_browser

#: At a desk.
WINDOW = {"width": 1100, "height": 900}
PHONE = {"width": 390, "height": 844}
TIMEOUT_MS = 60_000
STICKS_OUT_PX = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser; a test that wants it is skipped where there is none."""
    pytest.importorskip("playwright.sync_api", reason="no Playwright; make test installs it")
    program = find_chromium()
    if program is None:
        pytest.skip(MISSING)
    with open_browser(program) as browser:
        yield browser


@pytest.fixture
def open_page(chromium, site, request) -> Iterator[Callable[..., Any]]:
    """Opens a page for ada, with options of Playwright's `new_context`.

    At the end no page may have had a fault of a script, or have broken the policy of its content.
    With SCREENSHOTS in the environment it is a folder for what each showed last.
    """
    pages, faults = [], []
    with ExitStack() as stack:
        address = stack.enter_context(served(site.app))

        def open_one(**options: Any) -> Any:
            context = chromium.new_context(
                base_url=address,
                extra_http_headers={"X-User": "ada"},
                **{"viewport": WINDOW, **options},
            )
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on(
                "console",
                lambda said: faults.append(said.text) if "Content Security" in said.text else None,
            )
            pages.append(page)
            return page

        yield open_one
        if folder := os.environ.get("SCREENSHOTS"):
            name = re.sub(r"\W+", "-", request.node.name)
            for number, page in enumerate(pages):
                page.screenshot(path=Path(folder) / f"{name}{number or ''}.png", full_page=True)
    assert not faults
