"""The fields of a form without files."""

from __future__ import annotations

from fastapi import HTTPException, Request
from starlette.datastructures import ImmutableMultiDict

from landmark_web.limits import MAX_FIELDS_BYTES


async def read_fields(request: Request, most: int = 10) -> ImmutableMultiDict[str, str]:
    """Read a form here, not by FastAPI, which reads it before it asks who sends.

    Raises
    ------
    HTTPException
        413 if it is larger than `MAX_FIELDS_BYTES`; 400 if it has more than `most` fields.
    """
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_FIELDS_BYTES:
        raise HTTPException(413, f"The form is larger than {MAX_FIELDS_BYTES} bytes.")
    async with request.form(max_files=0, max_fields=most) as form:
        return ImmutableMultiDict(
            [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        )


def whole_number(text: str, what: str) -> int:
    """A number that a field has; 422 if it is none that Postgres could hold."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(422, f"{what}: a number is wanted.")
    return int(text)
