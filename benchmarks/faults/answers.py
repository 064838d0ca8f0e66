"""Wrong answers of S3: each makes another of what the server has said."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from benchmarks.faults.proxy import Answer, Bend, Request

PHOTOGRAPHS = "images/"
CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.S)
ETAG = re.compile(rb"<ETag>(.*?)</ETag>", re.S)
HTML = b"<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>"
#: None of them is the key of an object that can be asked for.
ODD_KEYS = (b"images/%00.jpg", b"images/%FF.jpg", b"images/" + b"x" * 2000 + b".jpg")
ODD_ENTRY = (
    b"<Contents><Key>%b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
    b"<ETag>&quot;0&quot;</ETag><Size>5</Size></Contents>"
)


def bent(applies: Callable[[Request], bool], change: Callable[[Answer], Answer]) -> Bend:
    """What is answered to some requests, so changed; else as the server has said it."""
    return lambda request, answer: change(answer) if applies(request) else answer


# ---- listings -----------------------------------------------------------------------------------


def is_listing(request: Request) -> bool:
    return request.listed == PHOTOGRAPHS


def listing(change: Callable[[bytes], bytes]) -> Bend:
    """Listings of the photographs, so changed."""
    return bent(is_listing, lambda answer: replace(answer, content=change(answer.content)))


def listing_refused(status: int, code: str) -> Bend:
    return bent(is_listing, lambda _: Answer.refusal(status, code))


def slow_listing(seconds: float) -> Bend:
    return bent(is_listing, lambda answer: replace(answer, drip_s=seconds))


def without_entries(content: bytes) -> bytes:
    return CONTENTS.sub(b"", content)


def first_half(content: bytes) -> bytes:
    """As if the others had gone."""
    numbers, half = count(), len(CONTENTS.findall(content)) // 2
    return CONTENTS.sub(lambda entry: entry[0] if next(numbers) < half else b"", content)


def going_on_nowhere(content: bytes) -> bytes:
    """The first half, as a page that names no next one."""
    truncated = re.sub(rb"<IsTruncated>\w+<", b"<IsTruncated>true<", first_half(content))
    assert b"<IsTruncated>true<" in truncated
    return truncated


def with_odd_keys(content: bytes) -> bytes:
    """Every key twice, and some that are none."""
    entries = CONTENTS.findall(content)
    encoding = b"" if b"<EncodingType>" in content else b"<EncodingType>url</EncodingType>"
    more = b"".join([encoding, *entries, *(ODD_ENTRY % key for key in ODD_KEYS)])
    return content.replace(b"</ListBucketResult>", more + b"</ListBucketResult>")


# ---- etags --------------------------------------------------------------------------------------


def etags(of_listing: bytes | None, of_object: str | None) -> Bend:
    """Other etags; ``{}`` in a text stands for the server's own, None is none."""
    own = b"\\1"
    listed = b"" if of_listing is None else b"<ETag>%b</ETag>" % of_listing.replace(b"{}", own)
    entries = listing(lambda content: ETAG.sub(listed, content))

    def bend(request: Request, answer: Answer) -> Answer:
        if not is_photograph(request) or "etag" not in answer.headers:
            return entries(request, answer)
        headers = dict(answer.headers)
        found = headers.pop("etag")
        if of_object is not None:
            headers["etag"] = of_object.replace("{}", found)
        return replace(answer, headers=headers)

    return bend


# ---- objects ------------------------------------------------------------------------------------


def is_photograph(request: Request) -> bool:
    return request.method == "GET" and request.key.startswith(PHOTOGRAPHS)


def photographs(change: Callable[[Answer], Answer]) -> Bend:
    """The content of photographs, so changed."""
    return bent(is_photograph, lambda answer: change(answer) if answer.status == 200 else answer)


def refused_after(given: int, status: int, code: str) -> Bend:
    """So many photographs are given, then none any more."""
    numbers = count()
    return photographs(
        lambda answer: answer if next(numbers) < given else Answer.refusal(status, code)
    )


def refused(key: str, status: int, code: str) -> Bend:
    """One object is never given, whatever is done for it."""
    return bent(lambda request: request.key == key, lambda _: Answer.refusal(status, code))


def cut_off(key: str) -> Bend:
    """One object breaks off each time."""
    return bent(lambda request: request.key == key, lambda answer: replace(answer, cut=True))


def in_chunks(answer: Answer) -> Answer:
    return replace(answer, in_chunks=True)


def dripping(seconds: float, some: int) -> Bend:
    """The first photographs come drop by drop."""
    numbers = count()
    return photographs(
        lambda answer: replace(answer, drip_s=seconds if next(numbers) < some else 0.0)
    )


def packed(answer: Answer) -> Answer:
    headers = {**answer.headers, "content-encoding": "gzip"}
    return replace(answer, headers=headers, content=gzip.compress(answer.content))


def all_of(*bends: Bend) -> Bend:
    def bend(request: Request, answer: Answer) -> Answer:
        for one in bends:
            answer = one(request, answer)
        return answer

    return bend
