"""The one data type that flows through: the local features of one image."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FeatureExtractor(Protocol):
    """What gives features: `landmark.extraction`, or something to measure beside it."""

    def extract(self, data: bytes, name: str) -> LocalFeatures:
        """The features of an image file's content; `name` is what messages call it."""
        ...

    def extract_pixels(self, pixels: NDArray[np.uint8], name: str) -> LocalFeatures:
        """The features of RGB pixels [h, w, 3]."""
        ...


# Of the arrays in a file.
_KINDS = {
    "locations": np.dtype(np.float32),
    "descriptors": np.dtype(np.float16),
    "scales": np.dtype(np.float32),
    "attention": np.dtype(np.float32),
    "global_descriptor": np.dtype(np.float16),
}


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """The local features of one image, strongest first.

    Parameters
    ----------
    locations : float32 array [n, 2]
        (y, x) of each feature's centre in pixels of the original upright image
        (EXIF orientation applied), origin at the centre of the top left pixel.
    descriptors : float16 array [n, d]
        Unit length up to rounding. float16 is what the table stores, so a fresh query and
        the same image read back compare alike, bit for bit.
    scales : float32 array [n]
        How many px of what the model saw one px of the original became where each feature was
        found, by reducing the image and by the pyramid: 2.0 is enlarged, hence a small structure.
    attention : float32 array [n]
        The model's score of each feature; the larger, the more telling. Descending.
    width, height : int
        Size of the original upright image in pixels.
    global_descriptor : float16 array [g], optional
        One vector of unit length for the whole image.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a value is not finite.
    """

    locations: NDArray[np.float32]
    descriptors: NDArray[np.float16]
    scales: NDArray[np.float32]
    attention: NDArray[np.float32]
    width: int
    height: int
    global_descriptor: NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        n = len(self.locations)
        expected = {"locations": (n, 2), "scales": (n,), "attention": (n,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        if self.descriptors.ndim != 2 or len(self.descriptors) != n:
            raise ValueError(f"descriptors have shape {self.descriptors.shape}, not ({n}, d)")
        for name in ("locations", "descriptors", "scales", "attention"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds a value that is not finite")
        if self.global_descriptor is not None and self.global_descriptor.ndim != 1:
            raise ValueError(f"global descriptor of shape {self.global_descriptor.shape}")

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.locations, self.descriptors, self.scales, self.attention)
        return sum(array.nbytes for array in arrays)

    @property
    def side_px(self) -> int:
        """The original image's longest side."""
        return max(self.width, self.height)

    @property
    def relative_locations(self) -> NDArray[np.float64]:
        """(y, x) as fractions of the image's height and width, [n, 2]."""
        return (self.locations + 0.5) / np.array([self.height, self.width])

    def same_as(self, other: LocalFeatures) -> bool:
        """Whether both are the same local features."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("locations", "descriptors", "scales")
        )

    def to_bytes(self) -> bytes:
        """The features as an .npz file; the same features give the same bytes."""
        arrays: dict[str, NDArray] = {
            "locations": self.locations,
            "descriptors": self.descriptors,
            "scales": self.scales,
            "attention": self.attention,
            "size": np.array([self.width, self.height]),
        }
        if self.global_descriptor is not None:
            arrays["global_descriptor"] = self.global_descriptor
        return write_arrays(**arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> LocalFeatures:
        """Read what `to_bytes` wrote; pickles are refused.

        Raises
        ------
        ValueError
            If the file is not such an .npz.
        """
        arrays = read_arrays(data)
        size = arrays.pop("size", np.empty(0, np.int64))
        kinds = {name: array.dtype for name, array in arrays.items()}
        if {"global_descriptor": np.dtype(np.float16)} | kinds != _KINDS:
            raise ValueError("holds other arrays than those of local features")
        if size.shape != (2,) or size.dtype != np.int64 or not (size > 0).all():
            raise ValueError("holds no size of an image")
        return cls(**arrays, width=int(size[0]), height=int(size[1]))


def write_arrays(**arrays: NDArray) -> bytes:
    """An .npz file; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # np.savez would write the time into it
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def read_arrays(data: bytes) -> dict[str, NDArray]:
    """Read what `write_arrays` wrote; pickles are refused.

    Raises
    ------
    ValueError
        If it is no such file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Ours are stored as they are; compressed ones could become any size.
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("compressed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # as many kinds as there are ways to damage a file
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"no file of arrays ({reason or type(error).__name__})") from error
