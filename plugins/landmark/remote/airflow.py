"""What a search asks of Airflow's REST API, and of Landmark's pages below it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from landmark.errors import LandmarkError, in_one_line
from landmark.remote.login import Login
from landmark.search.result import SearchResult
from landmark.search.searches import Searches

SEARCH = "landmark_search"
#: An upload is decoded before it is taken; the first page after a start loads all of them.
TIMEOUT_S = httpx.Timeout(120, connect=10)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
WORDS = {
    401: "the login is refused; check the token, or the name and the password",
    403: "this login may not do that; it needs the right to trigger and read landmark_search",
    413: "that is too large; reduce the photograph, or put it into S3 and give its path",
}


class Unreachable(LandmarkError):
    """Airflow does not answer now; it may in a moment."""


class Airflow:
    """One Airflow, logged in.

    Parameters
    ----------
    login : Login
    transport : httpx.BaseTransport or None
        What answers instead of a network.

    Raises
    ------
    LandmarkError
        If it is not there, or refuses the login.
    """

    def __init__(self, login: Login, transport: httpx.BaseTransport | None = None) -> None:
        self.url = login.url
        # A proxy of the environment knows nothing of what runs on this machine.
        is_here = urlsplit(login.url).hostname in LOOPBACK
        self._client = httpx.Client(
            base_url=login.url, timeout=TIMEOUT_S, transport=transport, trust_env=not is_here
        )
        token = login.token
        if token is None:
            body = {"username": login.username, "password": login.password}
            token = str(self._ask("POST", "/auth/token", json=body).get("access_token"))
        if not (token.isascii() and token.isprintable()):
            raise LandmarkError("the token holds what no token does; copy it anew")
        self._client.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Airflow:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def upload(self, file: Path) -> str:
        """Put a photograph of this machine into `LANDMARK_UPLOADS`; return its path there.

        Raises
        ------
        LandmarkError
            If it cannot be read, or is none.
        """
        try:
            with file.open("rb") as photograph:
                sent = {"photograph": (in_one_line(file.name), photograph)}
                answer = self._ask("POST", "/landmark/uploads", files=sent)
        except OSError as error:
            raise LandmarkError(
                f"{file}: cannot be read ({error.strerror}); check the path"
            ) from None
        return str(answer["image_path"])

    def trigger(self, conf: Mapping[str, Any]) -> str:
        """Start a search; return the run's id."""
        body = {"logical_date": None, "conf": conf}
        answer = self._ask("POST", f"/api/v2/dags/{SEARCH}/dagRuns", json=body)
        return str(answer["dag_run_id"])

    def state(self, run_id: str) -> str:
        """``queued``, ``running``, ``success`` or ``failed``."""
        return str(self._ask("GET", _run(run_id))["state"])

    def tasks(self, run_id: str) -> dict[str, str | None]:
        """The state of each task of a run."""
        answer = self._ask("GET", f"{_run(run_id)}/taskInstances")
        return {task["task_id"]: task["state"] for task in answer["task_instances"]}

    def told(self, run_id: str, task: str, key: str) -> Any:
        """What a task has put into XCom; None if nothing."""
        address = f"{_run(run_id)}/taskInstances/{task}/xcomEntries/{key}"
        try:
            value = self._ask("GET", address)["value"]
        except Missing:
            return None
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError:
            return value

    def searches(self, run_id: str) -> Searches:
        """All searches of a run, and what became of them."""
        return self._parsed(Searches, f"{_page(run_id)}/searches.json")

    def result(self, run_id: str, number: int) -> SearchResult:
        """What one of them has found, by its number from 1 on."""
        return self._parsed(SearchResult, f"{_page(run_id)}/matches.json?query={number}")

    def page(self, run_id: str) -> str:
        """Where a browser shows a run."""
        return self.url + _page(run_id)

    def _parsed(self, form: Any, address: str) -> Any:
        try:
            return form.from_json(self._answer("GET", address).content)
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise LandmarkError(f"{self.url}{address}: damaged ({reason}); search again") from None

    def _ask(self, method: str, address: str, **sent: Any) -> dict[str, Any]:
        answer = self._answer(method, address, **sent)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise LandmarkError(
                f"{self.url}: what answers is not Airflow's API; check the address (--api-url)"
            )
        return found

    def _answer(self, method: str, address: str, **sent: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, address, **sent)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"{self.url}: does not answer ({reason}); check the address (--api-url), and "
                f"that Airflow runs"
            ) from None
        if answer.status_code < 300:
            return answer
        kind = Missing if answer.status_code == 404 else LandmarkError
        if answer.status_code in (502, 503, 504):
            kind = Unreachable
        raise kind(f"{self.url}: {_reason(answer)}")


class Missing(LandmarkError):
    """Airflow knows of no such thing."""


def _reason(answer: httpx.Response) -> str:
    """What is wrong with a request, in words."""
    if answer.status_code in WORDS:
        return WORDS[answer.status_code]
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        where = answer.request.url.path
        return f"answers {answer.status_code} to {where}; check the address (--api-url)"
    return str(detail).splitlines()[0] if isinstance(detail, str) and detail else str(detail)


def _run(run_id: str) -> str:
    return f"/api/v2/dags/{SEARCH}/dagRuns/{quote(run_id, safe='')}"


def _page(run_id: str) -> str:
    return f"/landmark/searches/{quote(run_id, safe='')}"
