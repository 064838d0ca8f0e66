"""SavedModels through TensorFlow Hub: the one place where TensorFlow is started, and when used."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import urllib.error
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from landmark.errors import LandmarkError
from landmark.extraction.models import BUNDLED_MODEL

logger = logging.getLogger(__name__)

# For each connection and each read while a model is fetched. With two addresses of the host and
# a look-up of its name an unreachable hub is told after less than a minute.
HUB_TIMEOUT_S = 20.0
# A lock of a download without progress is taken over at the second look of TF-Hub; its own takes
# 20 minutes. A download that was slow and not dead is then done twice, each in a folder of its own.
HUB_LOCK_TIMEOUT_S = 20.0
# Lines of an error of TensorFlow's that come before the reason.
WHERE = ("Graph execution error", "Detected at node", "<stack traces")


def load_saved_model(handle: str, threads: int | None) -> Any:
    """A SavedModel by path or handle, as `hub.load` gives it.

    Parameters
    ----------
    handle : str
    threads : int, optional
        That compute at once; by default one for each core. The first call of a process decides.

    Raises
    ------
    LandmarkError
        If it cannot be fetched (told within a minute) or read.
    """
    # Read once, by the import. Level 2 would still report, as an error, that there is no GPU.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Of tensorflow_hub's import, in every task's log; requirements.in holds setuptools below 81.
    warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
    import tensorflow as tf
    import tensorflow_hub as hub
    from tensorflow_hub import compressed_module_resolver

    with suppress(RuntimeError):  # TensorFlow runs already
        # As of two graphs at once: two convolutions of one, such as of two scales.
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.threading.set_intra_op_parallelism_threads(threads or 0)
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # set up by someone else already
            tf.config.experimental.set_memory_growth(gpu, True)
    compressed_module_resolver.LOCK_FILE_TIMEOUT_SEC = HUB_LOCK_TIMEOUT_S
    try:
        with _socket_timeout(HUB_TIMEOUT_S):
            path = Path(hub.resolve(handle))
            try:
                return hub.load(handle)
            except (OSError, ValueError, tf.errors.OpError):
                if not handle.startswith(("http://", "https://")) or not path.is_dir():
                    raise
                # Its cache lies where temporary files are cleaned, file by file: fetched again.
                logger.warning("model %s: its cached files in %s are damaged", handle, path)
                shutil.rmtree(path)
                return hub.load(handle)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise LandmarkError(
            f"model {handle}: cannot be loaded ({cause_of(error)}); set LANDMARK_MODEL to the path "
            f"of a SavedModel, or to the bundled one, {BUNDLED_MODEL}"
        ) from error


@contextmanager
def _socket_timeout(timeout_s: float) -> Iterator[None]:
    """Give new sockets a time-out: tensorflow_hub opens its own without one and has no option."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(timeout_s)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def cause_of(error: Exception) -> str:
    """Why a model could not be fetched, read or run, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    reason = getattr(error, "reason", error)
    if isinstance(reason, socket.gaierror):
        return "its host's name does not resolve; no network?"
    if isinstance(reason, TimeoutError):
        return f"no answer within {HUB_TIMEOUT_S:.0f} s"
    lines = [line for line in str(reason).strip().splitlines() if not line.startswith(WHERE)]
    return next(filter(None, lines), type(error).__name__)[:200]
