"""Whether overlays drawn on photographs make them match, and whether true matches survive them.

    python -m benchmarks.overlays UNLIKE PLACES [--model HANDLE] [--photographs N]
        [--pairs N] [--keep FOLDER] [--json FILE]

UNLIKE holds photographs that show nothing in common; each gets some of the kinds of
`benchmarks.drawn_overlays`, and those that carry one kind are compared with each other. PLACES has
a folder for each place; all photographs of one get the same kind. Verdicts are those of a table of
as many images, by the model's own chance. `--keep` keeps the features: most of the time is theirs.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.drawn_overlays import KINDS
from benchmarks.photographs import choose_images
from landmark.evaluation.figures import figures_parser, print_figures
from landmark.evaluation.labels import LabelledFolder, read_labelled_folder
from landmark.extraction.decoding import decode_image
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import read_chance, resolve_model
from landmark.features import FeatureExtractor, LocalFeatures
from landmark.matching.chance import ChanceFigures, ChanceHistogram, chance_figures
from landmark.matching.pair import MatchingParameters, agreeing, verify_pairs
from landmark.matching.putative import QueryDescriptors, putative_matches, whole_numbers
from landmark.matching.ranking import Match, verdict
from landmark.progress import Progress
from landmark.settings import load_settings

PHOTOGRAPHS = 200
# Of a kind, at random; there are 1,600.
PAIRS = 2_000
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


def alike(drawn: Drawn, folder: LabelledFolder) -> list[dict[str, dict[str, LocalFeatures]]]:
    """Of each place its photographs with one kind of overlay and with none, by kind and name."""
    places: dict[str, dict[str, Path]] = {}
    for name, file in folder.images.items():
        places.setdefault(name.rpartition("/")[0], {})[name] = file
    found, progress = [], Progress(2 * len(folder.images), "photographs of places extracted")
    for number, (_, files) in enumerate(sorted(places.items())):
        of_kind: dict[str, dict[str, LocalFeatures]] = {}
        for kind in (PLAIN, list(KINDS)[number % len(KINDS)]):
            of_kind[kind] = {n: drawn.features(file, n, kind) for n, file in files.items()}
            progress.add(len(files))
        found.append(of_kind)
    return found


class Compared(NamedTuple):
    """A pair's inliers whatever an overlay explains, and without these; seconds of each."""

    alone: int
    counting: int
    seconds: tuple[float, float]


class Pairs:
    """Compares pairs, and judges them as in a table of so many images."""

    def __init__(self, parameters: MatchingParameters, figures: ChanceFigures, images: int) -> None:
        self._parameters, self._figures, self._images = parameters, figures, images

    def compare(self, query: LocalFeatures, image: LocalFeatures) -> Compared:
        """As a search does, and as it would do without looking for overlays."""
        descriptors = QueryDescriptors.of(query.descriptors)
        rows = whole_numbers(image.descriptors)
        pairs = putative_matches(descriptors, rows, self._parameters.max_distance)
        started = time.perf_counter()
        alone = agreeing(query, image, pairs, self._parameters)
        between = time.perf_counter()
        counting = verify_pairs(query, image, pairs, self._parameters)
        seconds = between - started, time.perf_counter() - between
        return Compared(len(alone.inliers), len(counting.inliers), seconds)

    def verdict(self, inliers: int) -> str:
        """What a search would say of so many."""
        return verdict([self._figures.judged(Match(inliers, inliers, ""), self._images)])


def false_matches(
    pairs: Pairs, photographs: Mapping[str, Mapping[str, LocalFeatures]], most: int
) -> dict[str, Any]:
    """Pairs of each kind that are a `match`, and were none without the overlay."""
    told: dict[str, Any] = {}
    seconds, plain = [], photographs[PLAIN]
    progress = Progress(len(photographs) - 1, "kinds compared")
    for kind, drawn in photographs.items():
        if kind == PLAIN:
            continue
        verdicts: dict[str, Counter[str]] = {"without": Counter(), "with": Counter()}
        some = list(itertools.combinations(sorted(drawn), 2))
        random.Random(0).shuffle(some)  # noqa: S311
        some = some[:most]
        for one, two in some:
            found = pairs.compare(drawn[one], drawn[two])
            seconds.append(found.seconds)
            said = [pairs.verdict(n) for n in (found.alone, found.counting)]
            if said != ["no match"] * 2:
                before = pairs.verdict(pairs.compare(plain[one], plain[two]).alone)
                said = [word if word != before else "no match" for word in said]
            for which, word in zip(verdicts, said, strict=True):
                verdicts[which][word] += 1
        told[kind] = {
            "pairs": len(some),
            **{f"match_{which}": counts["match"] for which, counts in verdicts.items()},
            **{f"uncertain_{which}": counts["uncertain"] for which, counts in verdicts.items()},
        }
        progress.add()
    without, with_it = 1000 * np.mean(seconds, axis=0)
    total = {name: sum(figures[name] for figures in told.values()) for name in told[kind]}
    return {**total, "verify_ms": without, "verify_ms_with_detection": with_it, "kinds": told}


def kept_matches(
    pairs: Pairs, places: Iterable[Mapping[str, Mapping[str, LocalFeatures]]]
) -> dict[str, Any]:
    """Pairs of one place that are a `match`: how many with overlays, of those that are without."""
    told: Counter[str] = Counter()
    seconds = []
    for of_kind in places:
        (kind,) = of_kind.keys() - {PLAIN}
        for one, two in itertools.combinations(sorted(of_kind[PLAIN]), 2):
            plain = pairs.compare(of_kind[PLAIN][one], of_kind[PLAIN][two])
            seconds.append(plain.seconds)
            told["pairs"] += 1
            told["taken_for_overlays"] += plain.alone != plain.counting
            if pairs.verdict(plain.alone) != "match":
                continue
            drawn = pairs.compare(of_kind[kind][one], of_kind[kind][two])
            told["match"] += 1
            told["match_still"] += pairs.verdict(plain.counting) == "match"
            told["match_with_overlays"] += pairs.verdict(drawn.counting) == "match"
            told["match_with_overlays_without_detection"] += pairs.verdict(drawn.alone) == "match"
    without, with_it = 1000 * np.mean(seconds, axis=0)
    return {
        **told,
        "kept": told["match_with_overlays"] / max(told["match"], 1),
        "verify_ms": without,
        "verify_ms_with_detection": with_it,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns its exit status."""
    parser = figures_parser("benchmarks.overlays", __doc__)
    parser.add_argument("unlike", type=Path, metavar="UNLIKE")
    parser.add_argument("places", type=Path, metavar="PLACES")
    parser.add_argument("--model", metavar="HANDLE", help="default: LANDMARK_MODEL")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS, metavar="N")
    parser.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help="of a kind, at most")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="features are kept there")
    options = parser.parse_args(arguments)

    def run() -> dict[str, Any]:
        settings = load_settings(lambda name: options.model if name == "LANDMARK_MODEL" else None)
        model = resolve_model(settings)
        folder = read_labelled_folder(options.places)
        files = choose_images(options.unlike, options.photographs)
        drawn = Drawn(load_extractor(model), options.keep)
        figures = chance_figures(ChanceHistogram(), read_chance(model))
        pairs = Pairs(MatchingParameters(model.max_distance), figures, len(files))
        return {
            "model": model.fingerprint,
            "photographs": len(files),
            "unlike": false_matches(pairs, unlike(drawn, files), options.pairs),
            "places": kept_matches(pairs, alike(drawn, folder)),
        }

    return print_figures(run, options.json)


if __name__ == "__main__":
    sys.exit(main())
