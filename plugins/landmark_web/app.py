"""The pages and pictures: every address needs Airflow's login and the right to read its DAG."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from psycopg import Error as PostgresError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from landmark.errors import LandmarkError, ServerFault, UnusableImage
from landmark.storage.bucket import ObjectMissing
from landmark_web.pages import (
    again,
    corrections,
    index,
    looking,
    photographs,
    places,
    removing,
    result,
    run_tab,
    searches,
    selection,
    static,
    uploads,
    waiting,
    watches,
)
from landmark_web.responses import message

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

logger = logging.getLogger(__name__)

app = FastAPI(title="Landmark", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(searches.forms)
app.include_router(searches.router)
app.include_router(again.undoing)
app.include_router(again.forms)
app.include_router(again.router)
app.include_router(uploads.forms)
app.include_router(selection.forms)
app.include_router(selection.router)
app.include_router(waiting.forms)
app.include_router(waiting.router)
app.include_router(result.router)
for _router in looking.routers:
    app.include_router(_router)
app.include_router(removing.router)
app.include_router(removing.forms)
app.include_router(corrections.forms)
app.include_router(corrections.router)
app.include_router(places.forms)
app.include_router(places.router)
app.include_router(watches.forms)
app.include_router(watches.router)
app.include_router(index.router)
app.include_router(index.forms)
app.include_router(photographs.router)
app.include_router(photographs.forms)
app.include_router(run_tab.router)
app.include_router(static.router)


@app.middleware("http")
async def _harden(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    # Neither database takes NUL; of other bytes that are no text nothing has reached us as such.
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        response: Response = message(request, "This address is not right.", "It holds a NUL.", 400)
    else:
        try:
            response = await call_next(request)
        except Exception:  # here, or the answer would be one without our headers
            logger.exception("%s %s", request.method, request.scope["path"])
            detail = "Something that nobody foresaw; the log of Airflow's API server says what."
            response = message(request, "This did not work.", detail, 500)
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@app.exception_handler(HTTPException)
def _refuse(request: Request, error: HTTPException) -> HTMLResponse:
    words = {
        401: "You are not logged in.",
        403: "You may not see this.",
        404: "There is no such page.",
        410: "This is gone.",
    }
    title = words.get(error.status_code, "This did not work.")
    detail = error.detail if isinstance(error.detail, str) else ""
    return message(request, title, detail, error.status_code, error.headers)


@app.exception_handler(LandmarkError)
def _explain(request: Request, error: LandmarkError) -> HTMLResponse:
    missing = isinstance(error, (ObjectMissing, UnusableImage))
    title = "There is no picture of this." if missing else "Landmark cannot show this."
    return message(request, title, str(error), 404 if missing else 503)


@app.exception_handler(RequestValidationError)
def _say_what_is_malformed(request: Request, error: RequestValidationError) -> HTMLResponse:
    first = error.errors()[0]
    detail = f"{first['loc'][-1]}: {first['msg']}."
    return message(request, "This address is not right.", detail, 422)


@app.exception_handler(PostgresError)
@app.exception_handler(SQLAlchemyError)
def _say_that_postgres_fails(request: Request, error: Exception) -> HTMLResponse:
    logger.warning("Postgres: %s", error)
    detail = f"{type(error).__name__}; try again later."
    return message(request, "The database does not answer as it should.", detail, 503)


@app.exception_handler(ServerFault)
@app.exception_handler(BotoCoreError)
@app.exception_handler(ClientError)
def _say_that_s3_fails(request: Request, error: Exception) -> HTMLResponse:
    logger.warning("S3: %s", error)
    remedy = "try again later"
    if isinstance(error, NoCredentialsError):
        remedy = "Airflow's connection of LANDMARK_AWS_CONN_ID must be there, with a key"
    detail = f"{type(error).__name__}; {remedy}."
    return message(request, "S3 does not answer as it should.", detail, 503)
