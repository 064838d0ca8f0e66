"""The part of the match graph around what a query matches, and how that ranks the images.

Photographs of the query's place that the query itself does not match are found by way of those
that it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

import numpy as np

from landmark.matching.match_graph import EDGE_INLIERS, chains, scores, support
from landmark.matching.ranking import Match, Step
from landmark.search.comparison import Query
from landmark.storage.corrections import standing_among
from landmark.storage.database import Database
from landmark.storage.edges import Edge, edges_of, paths_of, versions_of
from landmark.storage.images import find_image

# Of the query's own matches so many lead on.
SEEDS = 100
# How far from these, and to how many images in all.
HOPS = 3
NEIGHBOURS = 300
# An image that the query itself does not match is listed if each pair of a chain has so many
# inliers, and so much support beside the image that has most: photographs that show two places lead
# on from one to the other, but hardly anything there vouches for what lies further on.
CHAIN_INLIERS = 30
CHAIN_SUPPORT = 0.2


@dataclass(frozen=True)
class Neighbourhood:
    """Images around a query's matches, and the pairs among them.

    Parameters
    ----------
    paths : mapping of int to str
        Of each image, by id.
    edges : sequence of Edge
        In order.
    apart : set of (str, str)
        Paths of pairs, the smaller first, that people say to show different places.
    """

    paths: Mapping[int, str]
    edges: Sequence[Edge]
    apart: Set[tuple[str, str]] = frozenset()


def neighbourhood(
    database: Database, model: str, query: Query, matches: Sequence[Match]
) -> Neighbourhood:
    """What the graph reaches from a query's matches, by the strongest chains first.

    Parameters
    ----------
    query : Query
        Its own image does not vouch for what it found, nor do those that people say to show other
        places; nothing leads there, or on from there.
    matches : sequence of Match
        With the query itself, best first.
    """
    sure = [match for match in matches if match.strength >= EDGE_INLIERS][:SEEDS]
    rows = versions_of(database, model, [query.path, *(match.image_path for match in sure)])
    barred = {image for image, is_same in query.said.items() if not is_same}
    if query.path in rows:
        barred.add(rows[query.path][0])
    reached = {
        rows[match.image_path][0]: match.strength for match in sure if match.image_path in rows
    }
    edges: set[Edge] = set()
    ends = dict(reached)
    for _ in range(HOPS):
        found: dict[int, int] = {}
        new = edges_of(database, list(ends)) if ends else []
        edges.update(new)
        for edge in new:
            for near, far in ((edge.first, edge.second), (edge.second, edge.first)):
                if near in ends and far not in reached and far not in barred:
                    found[far] = max(found.get(far, 0), min(ends[near], edge.strength))
        nearest = sorted(found, key=lambda image: (-found[image], image))
        ends = {image: found[image] for image in nearest[: NEIGHBOURS - len(reached)]}
        reached |= ends
    if ends:
        edges.update(edges_of(database, list(ends)))
    paths = paths_of(database, list(reached))
    said = standing_among(database, list(paths.values()))
    return Neighbourhood(
        paths,
        sorted(edge for edge in edges if edge.first in reached and edge.second in reached),
        {pair for pair, correction in said.items() if not correction.is_same},
    )


def own_edges(
    database: Database, model: str, query: Query, matches: Sequence[Match]
) -> tuple[list[Edge], dict[int, datetime]]:
    """The pairs of a query that is indexed itself, for `save_edges`; none if it is another by now.

    As measured, whatever people say.

    Parameters
    ----------
    matches : sequence of Match
        With the query itself.
    """
    sure = [match for match in matches if match.inliers >= EDGE_INLIERS]
    rows = versions_of(database, model, [query.path, *(match.image_path for match in sure)])
    indexed = find_image(database, query.path, model)
    if query.path not in rows or indexed is None or not query.features.same_as(indexed[1]):
        return [], {}
    own, _ = rows[query.path]
    edges = []
    for match in sure:
        other, _ = rows[match.image_path]
        ends = min(own, other), max(own, other)
        edges.append(Edge(*ends, match.inliers, match.putative, match.is_copy))
    return edges, dict(rows.values())


def rank_by_graph(matches: Sequence[Match], around: Neighbourhood, min_inliers: int) -> list[Match]:
    """The images that a search lists, by inliers and support together, best first.

    Parameters
    ----------
    matches : sequence of Match
        Of every image of the neighbourhood that could be compared, and of others.
    min_inliers : int
        With the query itself; with fewer, an image needs a chain, or that people say that it shows
        the same place. A chain with two images that they say to show different places is none.
    """
    places = {match.image_path: place for place, match in enumerate(matches)}
    known = [
        edge
        for edge in around.edges
        if around.paths.get(edge.first) in places and around.paths.get(edge.second) in places
    ]
    ends = np.array(
        [[places[around.paths[end]] for end in edge[:2]] for edge in known], np.int64
    ).reshape(-1, 2)
    strengths = np.array([edge.strength for edge in known], np.int64)
    direct = np.array([match.strength for match in matches], np.int64)
    vouched = support(ends, strengths, direct)
    ranked = scores(direct, vouched)
    weakest, previous = chains(ends, strengths, direct, HOPS)
    between = {(a, b): edge for (a, b), edge in zip(ends.tolist(), known, strict=True)}
    between |= {(b, a): edge for (a, b), edge in between.items()}

    def chain(place: int) -> tuple[Step, ...]:
        before, match = int(previous[place]), matches[place]
        if before < 0:
            return (Step(match.inliers, match.image_path, match.said_same),)
        edge = between[before, place]
        return (*chain(before), Step(edge.inliers, match.image_path, edge.said_same))

    def is_vouched_for(place: int) -> bool:
        """What people say of a pair vouches for its one image as for the other."""
        before = int(previous[place])
        if before < 0 or vouched[place] >= CHAIN_SUPPORT:
            return True
        return between[before, place].said_same and is_vouched_for(before)

    listed = []
    for place, match in enumerate(matches):
        if match.strength >= min_inliers:
            listed.append((place, match))
        elif previous[place] >= 0 and weakest[place] >= CHAIN_INLIERS and is_vouched_for(place):
            via = chain(place)
            images = sorted(step.image_path for step in via)
            if around.apart.isdisjoint(combinations(images, 2)):
                listed.append((place, match._replace(via=via)))
    listed.sort(key=lambda one: (not one[1].said_same, -ranked[one[0]], one[1].rank_key))
    return [match for _, match in listed]
