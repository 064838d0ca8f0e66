"""Which model, with which parameters, and the fingerprint that names both (no TensorFlow here)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from landmark.errors import LandmarkError
from landmark.matching.chance import ChanceHistogram
from landmark.settings import Settings

# Part of each fingerprint; counts up when what is stored of an image changes its meaning.
FEATURES_VERSION = 2
BUNDLED_MODEL = "include/models/landmark-v1"
DEFAULTS_FILE = "landmark.json"
CHANCE_FILE = "chance.json"
# The network alone, for LiteRT. Where a model's folder has it, the SavedModel is not read.
LITERT_FILE = "network.tflite"
SAVED_MODEL_FILES = ("saved_model.pb*", "variables/*", "assets/**/*")
LITERT, TENSORFLOW = "litert", "tensorflow"
# The model's files of the extraction settings' names; the values are those of DELF's
# delf_config_example.pbtxt (github.com/tensorflow/models, research/delf/delf/python/examples).
DELF_DEFAULTS: dict[str, Any] = {
    "max_image_size": 1024,
    "image_scales": (0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0),
    "max_features": 1000,
    "score_threshold": 100.0,
    "max_distance": 0.8,  # of its match_images.py
}
PCA_MEAN, PCA_PROJECTION, PCA_VARIANCES = "mean.datum", "pca_proj_mat.datum", "pca_vars.datum"
# Last parts of a path that say nothing: a version, or the word for a model.
_UNTELLING = re.compile(r"\d+|(saved_?)?models?|export|local|global|default", re.IGNORECASE)


@dataclass(frozen=True)
class ModelConfig:
    """A model, how it is run, and how its features are compared.

    Parameters
    ----------
    handle : str
        Path of a SavedModel, or a URL that TensorFlow Hub resolves.
    max_image_size_px : int
        Longest side of the image that the model sees; larger images are reduced.
    image_scales : tuple of float
        The image pyramid: scales relative to that image.
    max_features : int
        Features an image at most; those of the highest attention.
    score_threshold : float
        Attention below which a feature is dropped.
    max_distance : float
        Largest distance between the descriptors of a putative match, 0 to 2: how far apart the
        views of one point lie is each model's own. No part of the fingerprint, since what is
        stored does not depend on it.
    runtime : str
        What runs the network, `LITERT` or `TENSORFLOW`: the same weights give features that differ
        in the last digits, so it is part of the fingerprint.
    """

    handle: str
    max_image_size_px: int
    image_scales: tuple[float, ...]
    max_features: int
    score_threshold: float
    max_distance: float
    runtime: str = TENSORFLOW  # of models that were noted before there was another

    @cached_property
    def fingerprint(self) -> str:
        """A readable name and 12 hex digits, such as ``landmark-v1-3f9a0c12d4e5``.

        The digits are the start of the sha256 over the extraction parameters, the runtime and the
        model: the content of a local model's files that the runtime reads, a URL's text. So a
        model trained anew is another one, while the folder that holds it makes no difference;
        the folder's own name does.
        Computed once for each object, and carried along when it is pickled.
        """
        digest = hashlib.sha256()
        for part in self._identity():
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return f"{_readable_name(self.handle)}-{digest.hexdigest()[:12]}"

    def record(self) -> dict[str, Any]:
        """What JSON can hold, and `from_record` reads; a local folder by its full path."""
        return {**asdict(self), "handle": str(self.directory or self.handle)}

    @classmethod
    def from_record(cls, record: dict[str, Any], fingerprint: str) -> ModelConfig:
        """A model as it was when images were extracted with it.

        Its files are not looked at: `load_extractor` checks whether they are the same still.
        """
        model = cls(**{**record, "image_scales": tuple(record["image_scales"])})
        vars(model)["fingerprint"] = fingerprint  # instead of computing it
        return model

    @property
    def directory(self) -> Path | None:
        """The folder of a local model, None for a URL."""
        return None if "://" in self.handle else Path(os.path.abspath(self.handle))

    @property
    def pca_directory(self) -> Path | None:
        """Where the PCA of raw DELF features lies: ``pca`` in the model's folder or beside it.

        Beside it is the model garden's layout (``delf_gld_20190411/model`` and ``…/pca``).
        """
        if self.directory is None:
            return None
        places = (self.directory / "pca", self.directory.parent / "pca")
        return next((place for place in places if (place / PCA_MEAN).is_file()), None)

    def _identity(self) -> Iterator[bytes]:
        parameters: list[Any] = [
            FEATURES_VERSION,
            int(self.max_image_size_px),
            [float(scale) for scale in self.image_scales],
            int(self.max_features),
            float(self.score_threshold),
        ]
        if self.runtime != TENSORFLOW:  # whose models keep the names that they have had
            parameters.append(self.runtime)
        yield json.dumps(parameters).encode()
        if self.directory is None:
            yield self.handle.encode()
            return
        files = (LITERT_FILE,) if self.runtime == LITERT else SAVED_MODEL_FILES
        for name, path in _model_files(self.directory, files, self.pca_directory):
            yield name.encode()
            yield path.read_bytes()


def resolve_model(settings: Settings) -> ModelConfig:
    """The model of these settings, with all its parameters.

    A parameter is the setting where it is set; else what the model's own ``landmark.json``
    says (keys ``max_image_size``, ``image_scales``, ``max_features``, ``score_threshold``,
    ``max_distance``, each optional); else `DELF_DEFAULTS`. LiteRT runs it where its folder has a
    `LITERT_FILE`, else TensorFlow.

    Raises
    ------
    LandmarkError
        If a local path holds no SavedModel, or its ``landmark.json`` cannot be used.
    """
    parameters, runtime = dict(DELF_DEFAULTS), TENSORFLOW
    if "://" not in settings.model:
        directory = _checked_directory(settings.model)
        parameters |= _own_defaults(directory)
        if (directory / LITERT_FILE).is_file():
            runtime = LITERT
    chosen = {name: getattr(settings, name) for name in DELF_DEFAULTS}
    parameters |= {name: value for name, value in chosen.items() if value is not None}
    return ModelConfig(
        handle=settings.model,
        max_image_size_px=parameters["max_image_size"],
        image_scales=tuple(parameters["image_scales"]),
        max_features=parameters["max_features"],
        score_threshold=float(parameters["score_threshold"]),
        max_distance=float(parameters["max_distance"]),
        runtime=runtime,
    )


def read_chance(model: ModelConfig) -> ChanceHistogram:
    """What was measured of a model's chance inliers: its ``chance.json``; no pairs without.

    It counts for what it was measured with; other extraction parameters have other figures.

    Raises
    ------
    LandmarkError
        If the file cannot be used.
    """
    path = (model.directory or Path()) / CHANCE_FILE
    if model.directory is None or not path.is_file():
        return ChanceHistogram()
    try:
        said = _ChanceFile.model_validate_json(path.read_bytes())
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).splitlines()[:3])
        raise LandmarkError(f"{path}: {reason}; correct or remove that file") from error
    if said.features not in _digits_of_runtimes(model) or said.max_distance != model.max_distance:
        return ChanceHistogram()
    return ChanceHistogram(said.pairs_by_inliers)


def write_chance(path: Path, model: ModelConfig, histogram: ChanceHistogram) -> None:
    """Write what `read_chance` reads beside a model."""
    said = _ChanceFile(
        features=_digits(model),
        max_distance=model.max_distance,
        pairs_by_inliers=histogram.counts,
    )
    path.write_text(said.model_dump_json() + "\n")


class _ChanceFile(BaseModel):
    """Of which features it holds (the digits of the fingerprint), and how they are compared."""

    model_config = ConfigDict(extra="forbid")

    features: str
    max_distance: float
    pairs_by_inliers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=100_000)]


def _digits(model: ModelConfig) -> str:
    return model.fingerprint.rpartition("-")[2]


def _digits_of_runtimes(model: ModelConfig) -> set[str]:
    """By either runtime, whose features differ too little for chance to see it.

    Of a model whose files are not what they were: its own alone.
    """
    digits = {_digits(replace(model, runtime=runtime)) for runtime in (LITERT, TENSORFLOW)}
    return digits if _digits(model) in digits else {_digits(model)}


def _checked_directory(handle: str) -> Path:
    path = Path(os.path.abspath(handle))
    remedy = f"set LANDMARK_MODEL to a SavedModel's folder, such as the bundled {BUNDLED_MODEL}"
    if not path.is_dir():
        raise LandmarkError(f"model {path}: no such folder; {remedy}")
    if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        raise LandmarkError(f"model {path}: no SavedModel, as it holds no saved_model.pb; {remedy}")
    return path


def _own_defaults(directory: Path) -> dict[str, Any]:
    """What the model's ``landmark.json`` says, under the same limits as the settings."""
    path = directory / DEFAULTS_FILE
    if not path.is_file():
        return {}
    try:
        said = dict(json.loads(path.read_text("utf-8")))
        said = {name: said[name] for name in DELF_DEFAULTS if said.get(name) is not None}
        return Settings(**said).model_dump(include=set(said))
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except (ValueError, TypeError, OSError, RecursionError) as error:
        reason = str(error)
    raise LandmarkError(f"{path}: {reason}; correct or remove that file")


def _model_files(
    directory: Path, patterns: tuple[str, ...], pca: Path | None
) -> Iterator[tuple[str, Path]]:
    """Name within the model and path of each file that decides what the model computes."""
    for pattern in patterns:
        for path in sorted(directory.glob(pattern)):
            if path.is_file():
                yield path.relative_to(directory).as_posix(), path
    for name in (PCA_MEAN, PCA_PROJECTION, PCA_VARIANCES):
        if pca and (pca / name).is_file():
            yield f"pca/{name}", pca / name


def _readable_name(handle: str) -> str:
    """The last part of a path or URL; with the part before it where it is only a version."""
    parts = [part for part in re.split(r"[/\\]+", handle.partition("://")[2] or handle) if part]
    if "://" not in handle:
        parts = list(Path(os.path.abspath(handle)).parts[1:])
    kept: list[str] = []
    for part in reversed(parts[-3:]):
        if part.isdigit() or not _UNTELLING.fullmatch(part):
            kept.insert(0, part)
        if not _UNTELLING.fullmatch(part):
            break
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(kept).lower()).strip("-")
    return name[:40].strip("-") or "model"
