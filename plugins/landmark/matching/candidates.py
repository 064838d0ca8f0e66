"""Images put in the order of how alike they are to some that are known."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

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

    def know(self, sketches: Iterable[bytes]) -> None:
        """Take in the sketches of further images that are known to show the place."""
        new = {}
        for data in sketches:
            if data not in self._known:
                with suppress(ValueError):  # damaged, and named where the sketches are read
                    new[data] = self.kernel.read(data)
        self._known |= new
        self._compare([*new.values()], self._parts)

    def add(self, sketches: Iterable[tuple[int, Sketch]]) -> None:
        """Take in further images by id, the nearest by global descriptor first."""
        stream = iter(sketches)
        while some := [*islice(stream, COMPARED_AT_ONCE)]:
            part = Sketches([sketch for _, sketch in some])
            ids = [number for number, _ in some]
            self._parts.append((ids, part, np.zeros(len(part), np.float32)))
            self._compare([*self._known.values()], self._parts[-1:])
            self.ids.update(ids)

    def in_order(self) -> list[int]:
        """Ids, those first that are most like one of the images known by now."""
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
