"""What the teacher says of every photograph, computed once and kept on disk."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from training.teacher import Teacher, trimmed

MAX_KEYPOINTS = 1500
"""Keypoints kept of a photograph."""

_log = logging.getLogger(__name__)


def write_targets(photographs: list[Path], teacher: Teacher, folder: Path) -> list[Path]:
    """Write one ``.npz`` a photograph; those already there are kept.

    Each holds ``score`` float16 [h, w] (sides cut to multiples of 32), ``locations`` int16 [n, 2]
    (y, x) px, best first, and ``descriptors`` float16 [n, d].

    Parameters
    ----------
    photographs
        JPEG files.
    teacher
        The network asked.
    folder
        Where the files go.

    Returns
    -------
    list of Path
        In the order of `photographs`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{photograph.stem}.npz" for photograph in photographs]
    start = time.monotonic()
    for index, (photograph, path) in enumerate(zip(photographs, paths, strict=True)):
        if path.exists():
            continue
        image = tf.io.decode_jpeg(tf.io.read_file(str(photograph)), channels=3).numpy()
        score, locations, descriptors = teacher.keypoints(
            tf.constant(trimmed(image) / np.float32(255)), tf.constant(MAX_KEYPOINTS)
        )
        partial = path.with_suffix(".tmp")
        with partial.open("wb") as file:
            np.savez(
                file,
                score=score.numpy().astype(np.float16),
                locations=locations.numpy().astype(np.int16),
                descriptors=descriptors.numpy().astype(np.float16),
            )
        partial.rename(path)  # a killed run leaves no half-written target
        if index % 100 == 0:
            _log.info("targets: %d of %d, %.0f s", index, len(paths), time.monotonic() - start)
    return paths
