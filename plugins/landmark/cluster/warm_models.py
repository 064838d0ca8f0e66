"""Models that take long to load, held loaded by workers of an existing cluster.

The workers that carry them have the resource `MODEL_RESOURCE`: ``dask worker --resources
landmark_model=1``. One is given pixels and gives features: it needs neither S3 nor the database,
but the model's files where the task's machine has them, or the way to its URL.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

import numpy as np
from dask.distributed import CancelledError, Client, TimeoutError
from dask.system import CPU_COUNT
from numpy.typing import NDArray

from landmark.cluster.client import CONNECT_TIMEOUT_S, open_client
from landmark.cluster.tasks import check_code
from landmark.cluster.workers import CODE_VERSION, MODEL_RESOURCE, differences
from landmark.errors import LandmarkError
from landmark.extraction.extractor import Extractor, load_extractor, pca_of
from landmark.extraction.models import TENSORFLOW, ModelConfig
from landmark.extraction.saved_models import cause_of
from landmark.extraction.signatures import RawFeatures
from landmark.settings import Settings

logger = logging.getLogger(__name__)

#: Of Dask: what somebody waits for comes before comparisons, a sweep's images after them all.
WAITED_FOR, IN_NO_HURRY = 1, -1_000_000
# Between two looks whether somebody still carries the model that is waited for.
LOOK_AFTER_S = 5
# Other versions may give other features.
PACKAGES = ("tensorflow", "tensorflow-hub")


class Load(Protocol):
    """Gives a model that is ready for use, as `load_extractor` does."""

    def __call__(self, model: ModelConfig, threads: int | None = None) -> Extractor:
        """With so many threads that compute here at once, by default one for each core."""


@contextmanager
def warm_models(settings: Settings, priority: int, client: Client | None = None) -> Iterator[Load]:
    """How to get a model: held by workers where some carry models, else loaded here.

    LiteRT's are loaded here at once; only TensorFlow's start is worth the way.

    Parameters
    ----------
    settings : Settings
        Where `settings.dask` is an address, workers are looked for there when a model is first
        wanted.
    priority : int
        `WAITED_FOR` or `IN_NO_HURRY`.
    client : Client, optional
        Of `open_client`; by default one of our own, if it is wanted.
    """
    with ExitStack() as stack:

        @cache
        def network() -> WarmNetwork | None:
            """Of the workers that carry models, if there are some."""
            if "://" not in settings.dask:
                return None
            try:
                found = client or stack.enter_context(open_client(settings.dask, settings))
            except LandmarkError as error:
                logger.warning("%s; the model is loaded here", error)
                return None
            carriers = carriers_of(found)
            if not carriers:
                return None
            _check_versions(found, carriers, settings.dask)
            logger.info("the model is held by %s", ", ".join(carriers))
            return WarmNetwork(found, priority)

        def load(model: ModelConfig, threads: int | None = None) -> Extractor:
            warm = network() if model.runtime == TENSORFLOW else None
            if warm is None:
                return load_extractor(model, threads)
            return Extractor(model, warm, pca_of(model))

        yield load


def carriers_of(client: Client) -> list[str]:
    """Addresses of the workers that carry models."""
    workers = client.scheduler_info()["workers"]
    return sorted(
        address for address, worker in workers.items() if MODEL_RESOURCE in worker["resources"]
    )


class WarmNetwork:
    """A network that workers hold; safe to call from several threads, each has a worker's turn.

    When a worker dies, another that carries models does its work again.

    Parameters
    ----------
    client : Client
    priority : int
    """

    def __init__(self, client: Client, priority: int) -> None:
        self._client, self._priority = client, priority

    def __call__(self, pixels: NDArray[np.uint8], model: ModelConfig) -> RawFeatures:
        """Features in pixels of RGB `pixels` [h, w, 3].

        Raises
        ------
        LandmarkError
            If the worker cannot use the model.
        ConnectionError
            If the scheduler is lost, or the last worker that carries models for a minute.
        Exception
            If the model fails, or several workers died over it.
        """
        found = self._client.submit(
            _run_network,
            pixels,
            model,
            CODE_VERSION,
            resources={MODEL_RESOURCE: 1},
            priority=self._priority,
            pure=False,
        )
        seen = time.monotonic()
        while True:
            try:
                features: RawFeatures = found.result(timeout=LOOK_AFTER_S)
                return features
            except CancelledError as error:
                raise ConnectionError("Dask's scheduler was lost in the middle") from error
            except TimeoutError:
                if carriers_of(self._client):
                    seen = time.monotonic()
                elif time.monotonic() - seen > CONNECT_TIMEOUT_S:
                    raise ConnectionError(
                        f"no worker with the resource {MODEL_RESOURCE} is left"
                    ) from None


def _run_network(pixels: NDArray[np.uint8], model: ModelConfig, code: str) -> RawFeatures:
    """Runs on a worker, which holds the model from then on."""
    check_code(code)
    # Matching is done with one thread a worker; who carries the model has its machine's cores.
    network = load_extractor(model, CPU_COUNT).network
    try:
        return network(pixels, model)
    except LandmarkError:
        raise
    except Exception as error:
        # TensorFlow's own errors cannot be sent everywhere.
        raise RuntimeError(cause_of(error)) from None


def _check_versions(client: Client, carriers: list[str], address: str) -> None:
    ours = _versions()
    for worker, theirs in sorted(client.run(_versions, workers=carriers).items()):
        if different := differences(PACKAGES, theirs, ours):
            raise LandmarkError(
                f"LANDMARK_DASK={address}: {worker} carries models and has {different}; "
                f"install the same requirements.txt there, or start it without {MODEL_RESOURCE}"
            )


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
