"""Queries compared with a stream of images: the best matches of each, as if all were verified."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from landmark.features import LocalFeatures
from landmark.matching.pair import MatchingParameters, verify_pairs
from landmark.matching.putative import QueryDescriptors, putative_matches, whole_numbers
from landmark.matching.ranking import Match, TopK
from landmark.search.framing import WHOLE, Framing
from landmark.storage.partitions import StoredImage

# Matched first, then verified in the order of their putatives.
IMAGES_PER_CHUNK = 64


@dataclass(frozen=True, eq=False)
class Query:
    """A photograph to search for.

    Parameters
    ----------
    path : str
        ``s3://bucket/key``: the one image of the table that it is not compared with.
    features : LocalFeatures
    said : mapping of int to bool
        Of images that people have compared with it, by the ids of their rows, whether they say that
        it is the same place; with the others it is not compared.
    framing : Framing
        What of the photograph has these features.
    """

    path: str
    features: LocalFeatures
    said: Mapping[int, bool] = field(default_factory=dict)
    framing: Framing = WHOLE

    @cached_property
    def descriptors(self) -> QueryDescriptors:
        """Arranged once a process, however many images are compared there."""
        return QueryDescriptors.of(self.features.descriptors)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was arranged stays in its process.
        return Query, (self.path, self.features, self.said, self.framing)


class Ranking(NamedTuple):
    """The best of some images for one query.

    Parameters
    ----------
    matches : list of Match
        Best first.
    compared, verified : int
        How many images there were, and how many of them had to be verified to know these.
    """

    matches: list[Match]
    compared: int
    verified: int


def rank_images(
    queries: Sequence[Query],
    images: Iterable[StoredImage],
    top_k: int,
    min_inliers: int,
    parameters: MatchingParameters = MatchingParameters(),
    ids: Sequence[Container[int]] | None = None,
) -> list[Ranking]:
    """For each query the best `top_k` matches of a stream of images, which is read once.

    Exactly as if every pair had been verified, but for what people say: what they say to show
    another place is left out, and what shows the query's comes first, whatever its inliers.

    Parameters
    ----------
    ids : sequence of container of int, optional
        For each query the rows that it is compared with; by default all.
    """
    best = [TopK(top_k, min_inliers) for _ in queries]
    compared, verified = [0] * len(queries), [0] * len(queries)
    stream = iter(images)
    while chunk := [
        (image, whole_numbers(image.descriptors)) for image in islice(stream, IMAGES_PER_CHUNK)
    ]:
        for number, query in enumerate(queries):
            matched = []
            for image, rows in chunk:
                said_same = query.said.get(image.id)
                if image.image_path == query.path or said_same is False:
                    continue
                if ids is None or image.id in ids[number]:
                    pairs = putative_matches(query.descriptors, rows, parameters.max_distance)
                    at_best = Match(len(pairs), len(pairs), image.image_path)
                    matched.append((at_best._replace(said_same=bool(said_same)), pairs, image))
            compared[number] += len(matched)
            matched.sort(key=lambda candidate: candidate[0].rank_key)
            for at_best, pairs, image in matched:
                if not best[number].can_enter(at_best):
                    break
                verified[number] += 1
                found = verify_pairs(query.features, image, pairs, parameters)
                best[number].add(
                    at_best._replace(
                        inliers=len(found.inliers), overlay=found.overlay, is_copy=found.is_copy
                    )
                )
    return [
        Ranking(top.matches, *counts) for top, *counts in zip(best, compared, verified, strict=True)
    ]
