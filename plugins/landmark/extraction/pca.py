"""The PCA of raw DELF features, from the files of the model garden."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError
from landmark.extraction.models import PCA_MEAN, PCA_PROJECTION, PCA_VARIANCES

# `pca_dim` of DELF's published configurations.
PCA_DIMENSIONS = 40
# Protobuf's wire type of strings, messages and packed numbers.
_LENGTH_DELIMITED = 2


@dataclass(frozen=True, eq=False)
class Pca:
    """A projection of unit-length descriptors.

    Parameters
    ----------
    mean : float32 array [d]
    projection : float32 array [k, d]
        One principal component a row.
    deviations : float32 array [k]
        The components' standard deviations where they are to be whitened, else ones.
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32]
    deviations: NDArray[np.float32]

    def __call__(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project [n, d] to [n, k], as `ApplyPcaAndWhitening` of DELF's feature_extractor.py."""
        projected = (descriptors - self.mean) @ self.projection.T
        return np.asarray(projected / self.deviations, np.float32)


def load_pca(directory: Path) -> Pca:
    """Read ``mean.datum``, ``pca_proj_mat.datum`` and, to whiten, ``pca_vars.datum``.

    Raises
    ------
    LandmarkError
        If a file is missing or damaged, or they do not belong together.
    """
    mean = _load(directory / PCA_MEAN).reshape(-1)
    projection = _load(directory / PCA_PROJECTION)
    if projection.ndim != 2 or projection.shape[1] != len(mean):
        raise LandmarkError(
            f"{directory}: {PCA_PROJECTION} has shape {projection.shape}, which does not fit "
            f"the {len(mean)} values of {PCA_MEAN}; take both from one release"
        )
    projection = projection[:PCA_DIMENSIONS]
    deviations = np.ones(len(projection), np.float32)
    if (directory / PCA_VARIANCES).is_file():
        variances = _load(directory / PCA_VARIANCES).reshape(-1)[: len(projection)]
        if len(variances) < len(projection) or not (variances > 0).all():
            raise LandmarkError(
                f"{directory / PCA_VARIANCES}: needs {len(projection)} positive values; "
                f"replace it, or remove it to go without whitening"
            )
        deviations = np.sqrt(variances)
    return Pca(mean, projection, deviations)


def _load(path: Path) -> NDArray[np.float32]:
    try:
        return parse_datum(path.read_bytes())
    except (OSError, ValueError, IndexError) as error:
        raise LandmarkError(
            f"{path}: {error}; copy {PCA_MEAN} and {PCA_PROJECTION} of the model's release there"
        ) from error


def parse_datum(data: bytes) -> NDArray[np.float32]:
    """The array in a DatumProto of DELF (research/delf/delf/protos/datum.proto).

    Two nested messages, each with one packed field: ``shape`` (1) with int64 ``dim`` (1) and
    ``float_list`` (2) with float ``value`` (1). So few rules need no protobuf compiler.

    Raises
    ------
    ValueError, IndexError
        If the bytes are no such message.
    """
    message = dict(_fields(data))
    packed_shape = dict(_fields(message.get(1, b""))).get(1, b"")
    values = np.frombuffer(dict(_fields(message.get(2, b""))).get(1, b""), "<f4")
    shape, position = [], 0
    while position < len(packed_shape):
        side, position = _varint(packed_shape, position)
        shape.append(side)
    if not shape:
        raise ValueError("no DatumProto")
    return values.reshape(shape)


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Number and content of each length-delimited field of a protobuf message."""
    fields, position = [], 0
    while position < len(data):
        key, position = _varint(data, position)
        if key & 7 != _LENGTH_DELIMITED:
            raise ValueError("no DatumProto")
        length, position = _varint(data, position)
        if position + length > len(data):
            raise ValueError("truncated DatumProto")
        fields.append((key >> 3, data[position : position + length]))
        position += length
    return fields


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A protobuf varint and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
