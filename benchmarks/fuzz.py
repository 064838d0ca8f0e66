"""Changed and made-up input for the decoders and for every parser of our own files.

    python -m benchmarks.fuzz --inputs 150000 --json fuzz.json

Each target states what may come out: a result within its limits, or the error that its callers
handle. Anything else is a finding, made as small as Hypothesis can. Images are decoded in the
processes of `landmark.extraction.sandbox`, so that a crash or an endless decoding is a finding.
"""

from __future__ import annotations

import io
import json
import logging
import struct
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from landmark.errors import LandmarkError, UnusableImage, in_one_line
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.evaluation.labels import read_labelled_folder
from landmark.extraction.decoding import FORMATS
from landmark.extraction.models import (
    DEFAULTS_FILE,
    PCA_MEAN,
    PCA_PROJECTION,
    PCA_VARIANCES,
    resolve_model,
)
from landmark.extraction.pca import load_pca
from landmark.extraction.sandbox import decode_isolated
from landmark.features import LocalFeatures
from landmark.index.listing import is_image
from landmark.matching.ranking import Match
from landmark.search.result import SearchResult, result_folder
from landmark.settings import PREFIX, Settings, load_settings
from landmark.storage.bucket import split_path

logger = logging.getLogger("landmark.fuzz")

SIDE_PX = 64
# Reasons of `extraction.sandbox` for the end of a decoder; no file of a few KB may cause it.
ENDED = (
    "crashes the decoder",
    "takes more than",
    "the decoder was killed",
    "needs more than",
    "takes over",
)


@dataclass(frozen=True)
class Target:
    """What is fed, and the check that raises where it misbehaves; its part of all inputs."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    share: float


# ---- images ------------------------------------------------------------------------------------


def encoded(form: str, mode: str = "RGB", **options: Any) -> bytes:
    ys, xs = np.mgrid[:40, :56]
    pixels = np.stack([4 * xs, 6 * ys, xs * ys % 251], 2).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def seeds() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime")]
    animated = io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:])
    floats = io.BytesIO()
    Image.fromarray(np.linspace(0, 1, 1600, dtype=np.float32).reshape(40, 40)).save(floats, "TIFF")
    return [
        *(encoded(form) for form in FORMATS),
        *(encoded("TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_deflate", "jpeg")),
        encoded("TIFF", "1", compression="group4"),
        encoded("JPEG", progressive=True, exif=exif),
        encoded("JPEG", "CMYK"),
        encoded("PNG", "P"),
        encoded("PNG", "RGBA"),
        encoded("PNG", "I;16"),
        encoded("WEBP", lossless=True),
        encoded("MPO"),
        encoded("HEIF", "RGBA"),
        animated.getvalue(),
        floats.getvalue(),
    ]


TAGS = (0x0100, 0x0112, 0x8769, 0x8825, 0x927C, 0xA005)  # of orientation, and of other blocks
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


@st.composite
def changed(draw: st.DrawFn, contents: list[bytes]) -> bytes:
    """One of these contents with bytes overwritten, removed, doubled or cut off."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        match draw(st.integers(0, 5)):
            case 0 | 1:
                content[place : place + 1] = bytes([draw(st.integers(0, 255))])
            case 2:
                width = draw(st.sampled_from((1, 2, 4)))
                content[place : place + width] = bytes([draw(st.sampled_from(INTERESTING))]) * width
            case 3:
                del content[place : place + draw(st.integers(1, 64))]
            case 4:
                content[place:place] = content[place : place + draw(st.integers(1, 64))]
            case _:
                content[place:place] = draw(st.binary(max_size=8))
    if draw(st.integers(0, 3)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@st.composite
def exif_blocks(draw: st.DrawFn) -> bytes:
    """EXIF with entries of any tag, kind, count and value."""
    order = draw(st.sampled_from("<>"))
    entries = draw(
        st.lists(
            st.tuples(
                st.sampled_from(TAGS) | st.integers(0, 65535),
                st.integers(0, 20),
                st.sampled_from((0, 1, 2, 0xFFFFFFFF)) | st.integers(0, 2**32 - 1),
                st.integers(0, 64) | st.integers(0, 2**32 - 1),
            ),
            max_size=6,
        )
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    count = draw(st.sampled_from((len(entries), len(entries) + 1, 65535)))
    body = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    return (
        b"Exif\0\0" + head + struct.pack(order + "H", count) + body + draw(st.binary(max_size=30))
    )


def with_exif(block: bytes) -> bytes:
    plain = PLAIN_JPEG
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def with_profile(profile: bytes) -> bytes:
    body = b"p\0\0" + zlib.compress(profile, 1)
    crc = struct.pack(">I", zlib.crc32(b"iCCP" + body))
    return PLAIN_PNG[:33] + struct.pack(">I", len(body)) + b"iCCP" + body + crc + PLAIN_PNG[33:]


def check_image(data: bytes) -> None:
    try:
        image = decode_isolated(data, "s3://b/fuzz", SIDE_PX)
    except UnusableImage as error:
        message = str(error)
        assert message.startswith("s3://b/fuzz: ")
        assert message.isprintable()
        assert not any(reason in message for reason in ENDED), message
        return
    assert image.pixels.dtype == np.uint8
    assert max(image.pixels.shape[:2]) <= SIDE_PX
    assert min(image.width, image.height) > 0


def check_still_decoded(data: bytes) -> None:
    """Metadata may say anything: the picture is there."""
    assert decode_isolated(data, "s3://b/fuzz", SIDE_PX).pixels.size


# ---- our own files -----------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


def json_like(example: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The example with some values replaced or missing, as text; or its text, changed."""
    fields = st.fixed_dictionaries(
        {}, optional={name: st.just(value) | JSON_VALUES for name, value in example.items()}
    )
    text = st.builds(lambda value: json.dumps(value).encode(), fields | JSON_VALUES)
    return text | changed([json.dumps(example).encode()]) | st.just(b"[" * 100_000)


RESULT = SearchResult(
    query="s3://b/q.jpg",
    model="m-0123456789ab",
    images_compared=2,
    index_time="2026-01-02T03:04:05+00:00",
    mode="exhaustive",
    parameters={"top_k": 100, "max_distance": 0.8},
    verdict="match",
    matches=[Match(30, 60, "s3://b/1.jpg", copies=(Match(13, 40, "s3://b/2.jpg"),))],
)
FEATURES = LocalFeatures(
    locations=np.ones((3, 2), np.float32),
    descriptors=np.ones((3, 8), np.float16),
    scales=np.ones(3, np.float32),
    attention=np.ones(3, np.float32),
    width=640,
    height=480,
)
MODEL_DEFAULTS = {
    "max_image_size": 800,
    "image_scales": [0.5, 1.0],
    "max_features": 1000,
    "score_threshold": 0.1,
    "max_distance": 0.85,
}
LABELS = {
    "images": ["a", "b"],
    "queries": [
        {"image": "a", "bbox": [0, 0, 9, 9], "easy": ["b"], "hard": [], "junk": []},
    ],
}


def check_result(data: bytes) -> None:
    with suppress(ValueError):
        result = SearchResult.from_json(data)
        assert result.to_text().endswith(b"\n")
        for match in result.matches:
            assert isinstance(match, Match) and isinstance(match.inliers, int)


def check_features(data: bytes) -> None:
    with suppress(ValueError):
        features = LocalFeatures.from_bytes(data)
        assert features.relative_locations.shape == (len(features), 2)
        assert features.to_bytes()


@cache
def scratch(name: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f"landmark-fuzz-{name}-"))


def check_model_defaults(data: bytes) -> None:
    folder = scratch("model")
    (folder / "saved_model.pb").touch()
    (folder / DEFAULTS_FILE).write_bytes(data)
    with suppress(LandmarkError):
        model = resolve_model(Settings(model=str(folder)))
        assert all(0.05 <= scale <= 4 for scale in model.image_scales)
        assert 32 <= model.max_image_size_px <= 8192


def check_pca(files: tuple[bytes, bytes, bytes]) -> None:
    folder = scratch("pca")
    for name, data in zip((PCA_MEAN, PCA_PROJECTION, PCA_VARIANCES), files, strict=True):
        (folder / name).write_bytes(data)
    with suppress(LandmarkError), np.errstate(all="ignore"):
        pca = load_pca(folder)
        pca(np.ones((1, len(pca.mean)), np.float32))


def check_labels(data: bytes) -> None:
    folder = scratch("labels")
    (folder / "jpg").mkdir(exist_ok=True)
    for name in ("a", "b"):
        (folder / "jpg" / f"{name}.jpg").touch()
    (folder / "gnd.json").write_bytes(data)
    with suppress(LandmarkError):
        for query in read_labelled_folder(folder).queries:
            assert query.box is None or query.box[2] > query.box[0]


def check_path(text: str) -> None:
    is_image(text)
    with suppress(LandmarkError):
        bucket, key = split_path(text)
        assert f"s3://{bucket}/{key}".removesuffix("/") == text.removesuffix("/")
    with suppress(LandmarkError):
        folder = result_folder("s3://b/results/", "run", text)
        assert folder.startswith("s3://b/results/") and folder.endswith("/")
        assert not {"", ".", ".."} & set(folder.removeprefix("s3://").split("/")[:-1])
    assert in_one_line(text).isprintable()


def check_settings(values: dict[str, str]) -> None:
    with suppress(LandmarkError):
        assert load_settings(values.get).dask


def datum(shape: list[int], values: list[float]) -> bytes:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    packed = np.array(values, "<f4").tobytes()
    return field(1, field(1, bytes(shape))) + field(2, field(1, packed))


DATUMS = [datum([4], [1, 2, 3, 4]), datum([2, 4], [1.0] * 8), datum([2], [1, 2])]
PLAIN_JPEG, PLAIN_PNG = encoded("JPEG"), encoded("PNG")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
OTHER_PROFILE = PROFILE.replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))
PATH_PARTS = st.sampled_from(["s3://", "/", "..", ".", "b", "results", "%2F", "\n", "\0", "\u2028"])
SETTING_NAMES = st.sampled_from([PREFIX + name.upper() for name in sorted(Settings.model_fields)])
SETTING_VALUES = (
    st.text(max_size=12)
    | st.sampled_from(["nan", "inf", "1e400", "0.5,nan", ",", "-1", "tcp://", "s3://b/", "s3://b"])
    | st.integers().map(str)
    | st.floats().map(str)
)

TARGETS = {
    "images": Target(changed(seeds()), check_image, 0.4),
    "exif": Target(exif_blocks().map(with_exif), check_still_decoded, 0.1),
    "icc": Target(
        (changed([PROFILE, OTHER_PROFILE]) | st.binary(max_size=200)).map(with_profile),
        check_still_decoded,
        0.06,
    ),
    "random bytes": Target(
        st.tuples(
            st.sampled_from([content[:12] for content in seeds()]), st.binary(max_size=200)
        ).map(b"".join),
        check_image,
        0.04,
    ),
    "matches.json": Target(
        json_like(json.loads(RESULT.to_json())) | changed([RESULT.to_json()]),
        check_result,
        0.1,
    ),
    "query.npz": Target(changed([FEATURES.to_bytes()]), check_features, 0.1),
    "landmark.json": Target(json_like(MODEL_DEFAULTS), check_model_defaults, 0.04),
    "pca": Target(st.tuples(*(changed([good]) for good in DATUMS)), check_pca, 0.04),
    "gnd.json": Target(json_like(LABELS), check_labels, 0.04),
    "paths": Target(
        st.text(max_size=30) | st.lists(PATH_PARTS, max_size=8).map("".join), check_path, 0.04
    ),
    "settings": Target(
        st.dictionaries(
            st.sampled_from(sorted(Settings.model_fields)).map(
                lambda name: f"LANDMARK_{name.upper()}"
            ),
            SETTING_VALUES,
            max_size=4,
        ),
        check_settings,
        0.04,
    ),
}


def fuzz(name: str, inputs: int, number: int = 0) -> dict[str, Any]:
    """Feed a target so many inputs.

    Returns
    -------
    dict
        ``inputs``: how many it took; ``seconds``; ``finding``: what went wrong, or None.
    """
    target, count = TARGETS[name], 0

    @seed(number)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def feed(value: Any) -> None:
        nonlocal count
        count += 1
        target.check(value)

    begin, finding = time.monotonic(), None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            feed()
        except Exception as error:
            notes = " ".join(getattr(error, "__notes__", []))
            finding = f"{type(error).__name__}: {error} {notes}"[:400]
    return {"inputs": count, "seconds": round(time.monotonic() - begin, 1), "finding": finding}


def rounds(name: str, inputs: int, size: int = 2_000) -> Iterator[dict[str, Any]]:
    """In rounds of another seed each: Hypothesis remembers, and slows down."""
    for number, first in enumerate(range(0, inputs, size)):
        yield fuzz(name, min(size, inputs - first), number)


def measure(names: list[str], inputs: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in names:
        done = list(rounds(name, round(inputs * TARGETS[name].share)))
        figures[name] = {
            "inputs": sum(part["inputs"] for part in done),
            "seconds": round(sum(part["seconds"] for part in done), 1),
            "findings": sorted({part["finding"] for part in done if part["finding"]}),
        }
        logger.info("%s: %s", name, figures[name])
    return {"inputs": sum(part["inputs"] for part in figures.values()), "targets": figures}


def main() -> int:
    parser = figures_parser("benchmarks.fuzz", __doc__)
    parser.add_argument("--inputs", type=int, default=150_000, help="of all targets together")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    arguments = parser.parse_args()
    return print_figures(lambda: measure(arguments.targets, arguments.inputs), arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
