"""Model -> LocalFeatures, by the runtime that the model takes; either is imported when used."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction.decoding import DecodedImage, shrink
from landmark.extraction.litert import LiteRTNetwork
from landmark.extraction.models import (
    LITERT,
    LITERT_FILE,
    PCA_MEAN,
    PCA_PROJECTION,
    ModelConfig,
)
from landmark.extraction.pca import Pca, load_pca
from landmark.extraction.sandbox import decode_isolated
from landmark.extraction.saved_models import cause_of, load_saved_model
from landmark.extraction.signatures import RawFeatures, check_outputs, find_network
from landmark.features import LocalFeatures

Network: TypeAlias = Callable[[NDArray[np.uint8], ModelConfig], RawFeatures]
"""RGB pixels [h, w, 3] in, features in pixels of these out, by the parameters of a model."""

# Descriptors longer than this are raw feature maps (DELF: 1024), not meant to be compared.
MAX_DESCRIPTOR_DIMENSIONS = 512
_loading = threading.Lock()
# LiteRT's networks are not for two threads at once. Two graphs of TensorFlow 2.21 end in
# segmentation faults where it uses a processor's matrix tiles (3 of 4 runs of 400 images).
# Processes of their own may have one each.
_computing = threading.Lock()


@dataclass(frozen=True, eq=False)
class Extractor:
    """A loaded model; get one from `load_extractor`. Safe to call from several threads.

    Parameters
    ----------
    model : ModelConfig
    network : Network
    pca : Pca, optional
        Applied to descriptors of more than 512 dimensions.
    """

    model: ModelConfig
    network: Network
    pca: Pca | None

    def extract(self, data: bytes, name: str) -> LocalFeatures:
        """The local features of an image file.

        Parameters
        ----------
        data : bytes
            The file, as `landmark.extraction.decoding.decode_image` takes it.
        name : str
            What messages call the image.

        Returns
        -------
        LocalFeatures
            In pixels of the original upright image; may be empty.

        Raises
        ------
        UnusableImage
            If the file cannot be decoded, or the model fails on this image alone.
        LandmarkError
            If the model cannot be used.
        """
        return self.extract_decoded(self.decode(data, name), name)

    def decode(self, data: bytes, name: str) -> DecodedImage:
        """An image file as the model sees it, decoded in another process.

        Raises `UnusableImage` like `extract`.
        """
        return decode_isolated(data, name, self.model.max_image_size_px)

    def extract_decoded(self, image: DecodedImage, name: str) -> LocalFeatures:
        """The local features of what `decode` has given; raises what `extract` raises."""
        return self._features(image.pixels, image.width, image.height, name)

    def extract_pixels(self, pixels: NDArray[np.uint8], name: str) -> LocalFeatures:
        """The local features of RGB pixels [h, w, 3] of any size, such as a crop of a photograph.

        Reduced to the model's image size like a file; locations are in pixels of `pixels`.
        Raises what `extract` raises.
        """
        height, width = pixels.shape[:2]
        reduced = shrink(pixels, self.model.max_image_size_px)
        return self._features(reduced, width, height, name)

    def _features(
        self, pixels: NDArray[np.uint8], width: int, height: int, name: str
    ) -> LocalFeatures:
        raw = self._run(pixels, name)
        found = raw.descriptors
        if found.shape == (0,):  # what some exports give of a picture without features
            found = found.reshape(0, 0)
        descriptors = _unit_length(self._projected(_unit_length(found)))
        locations = _original_locations(raw.locations, pixels.shape[:2], (height, width))
        order = _strongest_first(raw, descriptors, self.model)
        reduced = max(pixels.shape[:2]) / max(width, height)
        return LocalFeatures(
            locations=locations[order],
            descriptors=descriptors[order].astype(np.float16),
            scales=raw.scales[order] * np.float32(reduced),
            attention=raw.attention[order],
            width=width,
            height=height,
            global_descriptor=_pooled(raw.global_descriptors),
        )

    def _projected(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        if descriptors.shape[1] <= MAX_DESCRIPTOR_DIMENSIONS:
            return descriptors
        if self.pca is None:
            raise LandmarkError(
                f"model {self.model.handle}: gives raw descriptors of {descriptors.shape[1]} "
                f"dimensions and has no PCA; put {PCA_MEAN} and {PCA_PROJECTION} of its release "
                f"into the folder pca/ in the model's folder or beside it"
            )
        return self.pca(descriptors)

    def _run(self, pixels: NDArray[np.uint8], name: str) -> RawFeatures:
        """Run the network, and tell a fault of the image from one of the model."""
        try:
            return self.network(pixels, self.model)
        except (LandmarkError, ConnectionError):
            raise
        except Exception as error:  # of the runtime, or of the code inside somebody's model
            # A model that fails on any image would fill landmark_failures with the whole bucket.
            self.network(np.full((256, 256, 3), 128, np.uint8), self.model)
            raise UnusableImage(f"{name}: the model refuses it ({cause_of(error)})") from error


def load_extractor(model: ModelConfig, threads: int | None = None) -> Extractor:
    """The model, loaded once a process.

    By LiteRT in some hundredths of a second; TensorFlow's import takes 5 to 10 s before the model.

    Parameters
    ----------
    model : ModelConfig
    threads : int, optional
        That compute at once; by default one for each core. The first call of a process decides.
        Features are the same bytes, whatever their number.

    Raises
    ------
    LandmarkError
        If it cannot be fetched (told within a minute) or read, has no signature of DELF or gives
        what cannot be kept, or its files are not those that `model.fingerprint` was taken of, here
        or on another machine.
    """
    with _loading:
        return _load_extractor(model, model.fingerprint, threads)


@lru_cache(maxsize=2)  # two, for a comparison of models
def _load_extractor(model: ModelConfig, fingerprint: str, threads: int | None) -> Extractor:
    # The fingerprint is part of the key, so that a long-lived worker notices a model trained anew.
    if model.directory and not model.directory.is_dir():
        raise LandmarkError(
            f"model {model.handle}: no such folder on {socket.gethostname()}; put {fingerprint} "
            f"back there"
        )
    found = replace(model).fingerprint  # a copy without the value computed before
    if found != fingerprint:
        raise LandmarkError(
            f"model {model.handle}: is {found} on {socket.gethostname()} but {fingerprint} where "
            f"the work was given out; put the same files on every machine"
        )
    return Extractor(model, _load_network(model, threads), pca_of(model))


def pca_of(model: ModelConfig) -> Pca | None:
    """The projection that belongs to a model's raw descriptors, if it has one."""
    return load_pca(model.pca_directory) if model.pca_directory else None


def _load_network(model: ModelConfig, threads: int | None) -> Network:
    if model.runtime == LITERT and model.directory:
        return _one_at_a_time(LiteRTNetwork(model.directory / LITERT_FILE, threads or _cores()))
    network = find_network(load_saved_model(model.handle, threads), model)
    with _computing:
        check_outputs(network, model)
    return _one_at_a_time(network)


def _one_at_a_time(network: Network) -> Network:
    def run(pixels: NDArray[np.uint8], model: ModelConfig) -> RawFeatures:
        with _computing:
            return network(pixels, model)

    return run


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _original_locations(
    locations: NDArray[np.float32], seen: tuple[int, ...], original: tuple[int, int]
) -> NDArray[np.float32]:
    """Locations (y, x) of the seen image in pixels of the original, both sizes as (h, w).

    Pixel centres lie at whole numbers, so borders lie at -0.5: hence the halves. A location that
    the model puts beyond the border stays there, as moving it would bend the geometry.
    """
    factor = np.array(original, np.float64) / np.array(seen, np.float64)
    return ((locations + 0.5) * factor - 0.5).astype(np.float32)


def _strongest_first(
    raw: RawFeatures, descriptors: NDArray[np.float32], model: ModelConfig
) -> NDArray[np.intp]:
    """Indices of the features to keep, by attention; equal ones in the network's order."""
    usable = np.isfinite(raw.attention) & np.isfinite(raw.scales) & (raw.scales > 0)
    usable &= np.isfinite(raw.locations).all(axis=1)
    usable &= np.isfinite(descriptors).all(axis=1) & descriptors.any(axis=1)
    kept = np.flatnonzero(usable)
    order = np.argsort(-raw.attention[kept], kind="stable")
    return kept[order][: model.max_features]


def _unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row over its L2 norm; rows of zeros stay, and NaN or infinite rows become NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _pooled(per_scale: NDArray[np.float32] | None) -> NDArray[np.float16] | None:
    """One global descriptor [g] from one a scale [s, g], as DELG's extractor.py pools them."""
    if per_scale is None or not np.isfinite(per_scale).all() or not per_scale.any():
        return None
    pooled = _unit_length(_unit_length(per_scale).sum(axis=0, keepdims=True))
    return pooled.reshape(-1).astype(np.float16)
