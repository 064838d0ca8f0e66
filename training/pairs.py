"""Real pairs: ``python -m training.pairs --places DIR --model MODEL --out PAIRS``.

Photographs of one place are compared by the product's own matching; no labels of pairs are needed.
What agrees is made dense by *guided* matching: the verified transformation, bent to follow its
inliers, says where a feature must lie, so its partner is found even where something else looks more
like it. Pairs that do not match are reached by way of a third photograph. Look-alikes are pairs of
different places with the most inliers. One file a place is written; a killed run goes on.
"""

from __future__ import annotations

import argparse
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import resolve_model
from landmark.features import LocalFeatures, read_arrays, write_arrays
from landmark.matching.aggregation import Aggregation
from landmark.matching.pair import MatchingParameters, compare
from landmark.matching.verification import verify
from landmark.settings import load_settings
from training.places import family, photograph_paths, split

# Chance hardly reaches so many inliers; a place's own photographs need not be as sure as strangers.
SURE_INLIERS = 18
# Correspondences of a pair by way of others that agree with one transformation.
CHAINED_INLIERS = 16
FEATURES, SCALES = 2000, (0.5, 0.7071, 1.0)
"""More than searches use, at more sizes, so that pairs are found that searches miss."""

# As fractions of the other image's longest side: how far from where it must lie a partner is looked
# for, first and again; and how far from an inlier the bent transformation is believed.
SEARCH_RADII = (0.02, 0.01)
REACH = 0.15
NEAREST_INLIERS = 5
LEAST_COSINE = 0.3
MOST_ZOOM = 2.0

ALIKE_PER_IMAGE = 12
LOOKALIKE_INLIERS = 8
LOOKALIKES = "lookalikes.npz"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PhotographPair:
    """Two photographs and locations in them that show the same, or only seem to.

    Parameters
    ----------
    one, other : str
        ``place/file.jpg``.
    locations : float32 array [2, n, 2]
        (y, x) px in either.
    kind : str
        ``direct``; ``chained``, by way of a third; ``lookalike``, of different places.
    """

    one: str
    other: str
    locations: NDArray[np.float32]
    kind: str


def write_pairs(path: Path, pairs: Sequence[PhotographPair]) -> None:
    """Write pairs into one ``.npz``, or nothing at all."""
    partial = path.with_suffix(".tmp")
    partial.write_bytes(
        write_arrays(
            photographs=np.array([(pair.one, pair.other) for pair in pairs], dtype=np.str_),
            kinds=np.array([pair.kind for pair in pairs], dtype=np.str_),
            ends=np.cumsum([pair.locations.shape[1] for pair in pairs], dtype=np.int64),
            locations=np.concatenate(
                [np.zeros((2, 0, 2), np.float32), *(pair.locations for pair in pairs)], axis=1
            ),
        )
    )
    partial.rename(path)


def read_pairs(path: Path) -> list[PhotographPair]:
    """Read what `write_pairs` wrote."""
    arrays = read_arrays(path.read_bytes())
    if not len(arrays["ends"]):
        return []
    parts = np.split(arrays["locations"], arrays["ends"][:-1], axis=1)
    rows = zip(arrays["photographs"].tolist(), arrays["kinds"].tolist(), parts, strict=True)
    return [PhotographPair(one, other, part, kind) for (one, other), kind, part in rows]


def pairs_of_place(
    features: Mapping[str, LocalFeatures], parameters: MatchingParameters
) -> list[PhotographPair]:
    """All pairs of a place that match, or that a third photograph connects."""
    matched: dict[tuple[str, str], NDArray[np.intp]] = {}
    for one, other in itertools.combinations(sorted(features), 2):
        putative, found = compare(features[one], features[other], parameters)
        if len(found.inliers) >= SURE_INLIERS and not found.is_copy and found.transform is not None:
            guided = guided_matches(
                features[one], features[other], putative[found.inliers], found.transform
            )
            matched[one, other] = guided
            matched[other, one] = guided[:, ::-1]
    pairs = []
    for one, other in itertools.combinations(sorted(features), 2):
        found_pairs, kind = matched.get((one, other)), "direct"
        if found_pairs is None:
            found_pairs, kind = _chained(one, other, features, matched), "chained"
        if len(found_pairs) >= CHAINED_INLIERS:
            locations = np.stack(
                [
                    features[one].locations[found_pairs[:, 0]],
                    features[other].locations[found_pairs[:, 1]],
                ]
            )
            pairs.append(PhotographPair(one, other, locations, kind))
    return pairs


def guided_matches(
    one: LocalFeatures,
    other: LocalFeatures,
    inliers: NDArray[np.intp],
    transform: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Features that are each other's likest where a verified transformation lets them be.

    Parameters
    ----------
    one, other : LocalFeatures
    inliers : intp array [k, 2]
        Rows of `one` and `other` that agree with the transformation, k > 0.
    transform : float64 array [2, 3]
        Maps (y, x, 1) of `one` to (y, x) of `other`, px.

    Returns
    -------
    intp array [m, 2]
        Each row of either at most once.
    """
    expected = (one.locations @ transform[:, :2].T + transform[:, 2]).astype(np.float32)
    cosines = one.descriptors.astype(np.float32) @ other.descriptors.astype(np.float32).T
    zoom = np.sqrt(abs(np.linalg.det(transform[:, :2])))
    # A feature's size is one over its scale; its partner's must be what the zoom makes of it.
    sizes = other.scales[None] * zoom / one.scales[:, None]
    allowed = (cosines >= LEAST_COSINE) & (sizes <= MOST_ZOOM) & (sizes >= 1 / MOST_ZOOM)
    found = inliers
    for radius in SEARCH_RADII:
        bent, away = _bent(expected, found, other.locations)
        distance = _squared_distances(bent, other.locations)
        near = allowed & (distance <= (radius * other.side_px) ** 2)
        near &= (away <= REACH * other.side_px)[:, None]
        found = _mutual(np.where(near, cosines, -1.0))
        if not len(found):
            break
    return found


def _bent(
    expected: NDArray[np.floating], inliers: NDArray[np.intp], locations: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Expected locations [n, 2] moved as the inliers near each are; how far the nearest is [n]."""
    anchors = expected[inliers[:, 0]]
    moved = locations[inliers[:, 1]] - anchors
    distances = _squared_distances(expected, anchors)
    # An inlier does not vouch for itself: a wrong one would be found again.
    distances[inliers[:, 0], np.arange(len(inliers))] = np.inf
    count = min(NEAREST_INLIERS, len(inliers))
    nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
    near = np.take_along_axis(distances, nearest, axis=1)
    weights = 1 / (1 + near)
    shift = (weights[:, :, None] * moved[nearest]).sum(axis=1)
    total = np.maximum(weights.sum(axis=1), 1e-12)
    return expected + shift / total[:, None], np.sqrt(near.min(axis=1))


def _squared_distances(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray:
    """Of points [n, 2] and [m, 2]: [n, m]."""
    (y, x), (v, u) = one.T.astype(np.float32), other.T.astype(np.float32)
    return (y[:, None] - v) ** 2 + (x[:, None] - u) ** 2


def _mutual(similarity: NDArray[np.floating]) -> NDArray[np.intp]:
    """Rows and columns that are each other's largest value; below 0 is none."""
    best = similarity.argmax(axis=1)
    rows = np.arange(len(best))
    mutual = (similarity.argmax(axis=0)[best] == rows) & (similarity[rows, best] > 0)
    return np.column_stack([rows, best])[mutual]


def _chained(
    one: str,
    other: str,
    features: Mapping[str, LocalFeatures],
    matched: Mapping[tuple[str, str], NDArray[np.intp]],
) -> NDArray[np.intp]:
    """Matches of two photographs by way of those that match both, made dense; may be none."""
    nothing = np.empty((0, 2), np.intp)
    found = [nothing]
    for third in features:
        first, second = matched.get((one, third)), matched.get((third, other))
        if first is not None and second is not None:
            _, left, right = np.intersect1d(
                first[:, 1], second[:, 0], assume_unique=True, return_indices=True
            )
            found.append(np.column_stack([first[left, 0], second[right, 1]]))
    links = np.unique(np.concatenate(found), axis=0)
    from_one, to_other = features[one], features[other]
    verified = verify(
        from_one.locations[links[:, 0]],
        to_other.locations[links[:, 1]],
        from_one.side_px,
        to_other.side_px,
        from_one.scales[links[:, 0]] / to_other.scales[links[:, 1]],
    )
    if len(verified.inliers) < CHAINED_INLIERS or verified.transform is None:
        return nothing
    return guided_matches(from_one, to_other, links[verified.inliers], verified.transform)


def lookalikes(
    features: Mapping[str, LocalFeatures], parameters: MatchingParameters
) -> list[PhotographPair]:
    """Pairs of different places that seem to match, by names ``place/file.jpg``, worst first."""
    names = sorted(features)
    aggregation = Aggregation.fit(lambda: (features[name].descriptors for name in names))
    if aggregation is None:
        return []
    sketches = np.stack([aggregation.describe(features[name].descriptors) for name in names])
    families = np.array([family(name.partition("/")[0]) for name in names])
    alike = sketches.astype(np.float32) @ sketches.astype(np.float32).T
    alike[families[:, None] == families] = -np.inf
    pairs = set()
    for index, row in enumerate(alike):
        for near in np.argsort(-row)[:ALIKE_PER_IMAGE].tolist():
            if np.isfinite(row[near]):
                pairs.add((min(index, near), max(index, near)))
    found = []
    for left, right in sorted(pairs):
        one, other = features[names[left]], features[names[right]]
        putative, verified = compare(one, other, parameters)
        chosen = putative[verified.inliers]
        if len(chosen) >= LOOKALIKE_INLIERS:
            locations = np.stack([one.locations[chosen[:, 0]], other.locations[chosen[:, 1]]])
            found.append(PhotographPair(names[left], names[right], locations, "lookalike"))
    return sorted(found, key=lambda pair: -pair.locations.shape[1])


def place_features(place: Path, extractor: Extractor, folder: Path) -> dict[str, LocalFeatures]:
    """Features of a place's photographs, by ``place/file.jpg``, kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for photograph in photograph_paths(place):
        kept = folder / f"{place.name}-{photograph.stem}.npz"
        if not kept.exists():
            features = extractor.extract(photograph.read_bytes(), str(photograph))
            partial = kept.with_suffix(".tmp")
            partial.write_bytes(features.to_bytes())
            partial.rename(kept)
        features = LocalFeatures.from_bytes(kept.read_bytes())
        found[f"{place.name}/{photograph.name}"] = features
    return found


def _strongest(features: LocalFeatures, most: int) -> LocalFeatures:
    return replace(
        features,
        **{
            name: getattr(features, name)[:most]
            for name in ("locations", "descriptors", "scales", "attention")
        },
    )


def mine(places: Path, handle: str, out: Path) -> Iterator[Path]:
    """Write the pairs of each training place, and look-alikes; yield each file when it is there."""
    model = resolve_model(load_settings(lambda name: handle if name == "LANDMARK_MODEL" else None))
    parameters = MatchingParameters(model.max_distance)
    wider = replace(model, max_features=FEATURES, image_scales=SCALES, score_threshold=0.05)
    extractor = load_extractor(wider, threads=2)
    out.mkdir(parents=True, exist_ok=True)
    strongest = {}
    for place in split(places)[0]:
        features = place_features(place, extractor, out / "features")
        strongest.update({name: _strongest(f, model.max_features) for name, f in features.items()})
        path = out / f"{place.name}.npz"
        if not path.exists():
            write_pairs(path, pairs_of_place(features, parameters))
        yield path
    path = out / LOOKALIKES
    if not path.exists():
        write_pairs(path, lookalikes(strongest, parameters))
    yield path


def main() -> None:
    """Mine, and tell what was found."""
    parser = argparse.ArgumentParser(prog="training.pairs", description=__doc__)
    parser.add_argument("--places", type=Path, required=True, help="one folder for each place")
    parser.add_argument("--model", required=True, help="what matches: a model's folder")
    parser.add_argument("--out", type=Path, required=True, help="features and pairs")
    arguments = parser.parse_args()
    for path in mine(arguments.places, arguments.model, arguments.out):
        pairs = read_pairs(path)
        counts = {
            kind: sum(p.kind == kind for p in pairs) for kind in ("direct", "chained", "lookalike")
        }
        points = int(np.median([p.locations.shape[1] for p in pairs])) if pairs else 0
        _log.info("%s: %s, median %d points", path.stem, counts, points)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main()
