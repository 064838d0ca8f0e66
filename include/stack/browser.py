"""Debian's chromium, driven by Playwright: for tests of the pages and screenshots for docs/."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stack.environment import UI_USER, Addresses

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
#: Busy cores take minutes where idle ones take seconds.
TIMEOUT_MS = 180_000
MISSING = "no chromium; on Debian or Ubuntu: apt-get install chromium"


def find_chromium() -> str | None:
    """Return the program's path; `CHROMIUM` in the environment wins."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, CHROMIUMS)), None)


@contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    """Run a headless browser."""
    from playwright.sync_api import sync_playwright

    # Its own sandbox does not work as root, nor in most containers; it sees our pages only.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


def log_in(
    browser: Browser, addresses: Addresses, theme: str = "light", **options: Any
) -> BrowserContext:
    """Log in as a user does, and return the session.

    Parameters
    ----------
    theme : {'light', 'dark'}
        Chosen in Airflow.
    options
        Of Playwright's `new_context`, such as `viewport`.
    """
    context = browser.new_context(base_url=addresses.ui, **options)
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Username").fill(UI_USER)
    page.get_by_label("Password").fill(addresses.ui_password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/auth/login" not in url)
    page.close()
    return context
