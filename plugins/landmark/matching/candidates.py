"""Images put in the order of how alike they are to some that are known."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from landmark.matching.match_kernel import MatchKernel, Sketch, Sketches

# What comparing these takes stays within a processor's cache.
COMPARED_AT_ONCE = 64


class Candidates:
    """Images, and how alike each is to the most alike of those that are known to show the place.

    Parameters
    ----------
    kernel : MatchKernel
    """

    def __init__(self, kernel: MatchKernel) -> None:
        self.ids: set[int] = set()
        self.kernel = kernel
        self._known: dict[bytes, Sketch] = {}
        self._parts: list[tuple[list[int], Sketches, NDArray[np.float32]]] = []

    def add(self, sketches: Sequence[tuple[int, Sketch]]) -> None:
        """Take in further images, the nearest by global descriptor first."""
        parts = []
        for first in range(0, len(sketches), COMPARED_AT_ONCE):
            some = sketches[first : first + COMPARED_AT_ONCE]
            ids = [number for number, _ in some]
            part = Sketches([sketch for _, sketch in some])
            parts.append((ids, part, np.zeros(len(part), np.float32)))
            self.ids.update(ids)
        self._compare([*self._known.values()], parts)
        self._parts += parts

    def in_order(self, known: list[bytes]) -> list[int]:
        """All of them, those most like one of the images `known` by now first."""
        new = {}
        for data in known:
            if data not in self._known:
                with suppress(ValueError):  # damaged, and named where the sketches are read
                    new[data] = self.kernel.read(data)
        self._known |= new
        self._compare([*new.values()], self._parts)
        if not self._parts:
            return []
        ids = np.concatenate([ids for ids, _, _ in self._parts])
        alike = np.concatenate([alike for _, _, alike in self._parts])
        return ids[np.argsort(-alike, kind="stable")].tolist()

    def _compare(
        self, known: list[Sketch], parts: list[tuple[list[int], Sketches, NDArray[np.float32]]]
    ) -> None:
        if not known:
            return
        together = Sketches(known)
        for _, part, alike in parts:
            np.maximum(alike, self.kernel.similarities(together, part), out=alike)
