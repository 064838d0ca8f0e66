"""Who may see and start what: Airflow's login, and its rights on our two DAGs.

Every router of `pages` is made with one of these rights, which is asked for before anything is
read, the body of the request too; a router of forms asks for `same_origin` first. Only style,
script and icon ask for none: the page that says who is not logged in needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import HTTPException, Request

from landmark_web.runs import INDEX, SEARCH

#: Refuses with 401 or 403; takes the request and its user.
Right = Callable[[Request, Any], None]

may_read_searches: Right = requires_access_dag("GET", DagAccessEntity.RUN, SEARCH)
may_search: Right = requires_access_dag("POST", DagAccessEntity.RUN, SEARCH)
may_cancel: Right = requires_access_dag("PUT", DagAccessEntity.RUN, SEARCH)
may_read_index: Right = requires_access_dag("GET", DagAccessEntity.RUN, INDEX)
may_index: Right = requires_access_dag("POST", DagAccessEntity.RUN, INDEX)
#: Of the DAG that the address names.
may_read_run: Right = requires_access_dag("GET", DagAccessEntity.RUN)


def allowed(request: Request, user: Any, right: Right) -> bool:
    """Whether a page may offer what needs this right."""
    try:
        right(request, user)
    except HTTPException:
        return False
    return True


def same_origin(request: Request) -> None:
    """Refuse a form that another site sends with our user's cookie.

    Clients with a token of their own send neither header.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not ours:
        raise HTTPException(403, "The form came from another site; open it in Airflow.")
