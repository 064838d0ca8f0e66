"""Files that are there whole or not at all, and never in another's place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from landmark.errors import LandmarkError


@contextmanager
def written_whole(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes the file when the block has ended without an error.

    Raises
    ------
    LandmarkError
        If the file is there already, or cannot be written.
    """
    if file.exists():
        raise LandmarkError(f"{file}: is there already; choose another name, or remove it")
    unfinished = None
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        os.close(handle)
        unfinished = Path(name)
        yield unfinished
        os.link(unfinished, file)  # unlike renaming, it replaces nothing
    except OSError as error:
        raise LandmarkError(
            f"{file}: cannot be written ({error.strerror}); choose a folder that can"
        ) from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
