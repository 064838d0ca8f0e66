"""Where programs send a photograph that they then search for by Airflow's REST API."""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from landmark.errors import LandmarkError
from landmark_web.connection import connected
from landmark_web.limits import DECODING
from landmark_web.permissions import may_search, same_origin
from landmark_web.search_form import read_form
from landmark_web.uploads import upload

forms = APIRouter(dependencies=[Depends(same_origin), Depends(may_search)])


@forms.post("/uploads")
async def take_upload(request: Request, user: GetUserDep) -> JSONResponse:
    """Put a photograph into `LANDMARK_UPLOADS`; the answer is its path."""
    try:
        async with read_form(request) as form:
            if form.photograph is None:
                raise LandmarkError("photograph: no file of this name in the form.")
            landmark = await run_in_threadpool(connected)
            path = await DECODING.run(user, upload, landmark, form.name, form.photograph)
    except LandmarkError as error:
        return JSONResponse({"detail": str(error)}, 400)
    return JSONResponse({"image_path": path}, 201)
