"""Whether overlays drawn on photographs make them match, and whether true matches survive them.

    python -m benchmarks.overlays UNLIKE PLACES [--model HANDLE] [--photographs N]
        [--keep FOLDER] [--json FILE]

UNLIKE holds photographs that show nothing in common; each gets some of the kinds of
`benchmarks.drawn_overlays`, and all that carry one kind are compared with each other. PLACES has a
folder for each place; all photographs of one get the same kind. Verdicts are those of a table of
as many images, by the model's own chance. `--keep` keeps the features: most of the time is theirs.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.drawn_overlays import KINDS
from benchmarks.photographs import choose_images
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.evaluation.labels import read_labelled_folder
from landmark.extraction.decoding import decode_image
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.progress import Progress
from landmark.settings import load_settings

PHOTOGRAPHS = 200
# Of an unlike photograph.
KINDS_EACH = 4
PLAIN = "none"


@dataclass(frozen=True)
class Drawn:
    """Photographs' features with overlays and without.

    Parameters
    ----------
    extractor : FeatureExtractor
    keep : Path or None
        A folder that holds the features of each, to be read the next time.
    """

    extractor: FeatureExtractor
    keep: Path | None = None

    def features(self, file: Path, name: str, kind: str) -> LocalFeatures:
        """Of a photograph with an overlay of some kind, or with none."""
        kept = self.keep / kind / f"{name.replace('/', '-')}.npz" if self.keep else None
        if kept is not None and kept.is_file():
            return LocalFeatures.from_bytes(kept.read_bytes())
        pixels = decode_image(file.read_bytes(), name, max_size_px=sys.maxsize).pixels
        found = self.extractor.extract_pixels(
            pixels if kind == PLAIN else KINDS[kind](pixels), name
        )
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(found.to_bytes())
        return found


def unlike(drawn: Drawn, files: Sequence[Path]) -> dict[str, dict[str, LocalFeatures]]:
    """Of each kind, and of none, the photographs that carry it, by name."""
    kinds = list(KINDS)
    found: dict[str, dict[str, LocalFeatures]] = {kind: {} for kind in (PLAIN, *kinds)}
    progress = Progress(len(files) * (KINDS_EACH + 1), "unlike photographs extracted")
    for number, file in enumerate(files):
        step = number * KINDS_EACH
        some = [kinds[(step + i) % len(kinds)] for i in range(KINDS_EACH)]
        for kind in (PLAIN, *some):
            name = f"unlike/{number:03d}"
            found[kind][name] = drawn.features(file, name, kind)
            progress.add()
    return found
