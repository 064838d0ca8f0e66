"""Exact top-k with an upper bound."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from landmark.matching.ranking import MIN_INLIERS, Match, Step, TopK, verdict

candidates = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12)).map(
        lambda pair: (min(pair), max(pair))  # inliers never exceed putatives
    ),
    max_size=40,
).map(lambda pairs: [Match(*pair, f"s3://b/{index:02d}") for index, pair in enumerate(pairs)])


def everything(matches, k, min_inliers):
    kept = [match for match in matches if match.inliers >= min_inliers]
    return sorted(kept, key=lambda match: match.rank_key)[:k]


@given(candidates, st.integers(1, 8), st.integers(0, 6))
def test_the_bound_changes_nothing_ties_included(matches, k, min_inliers):
    best = TopK(k, min_inliers)
    for match in sorted(matches, key=lambda match: (-match.putative, match.image_path)):
        if not best.can_enter(match.putative, match.image_path):
            break
        best.add(match)
    assert best.matches == everything(matches, k, min_inliers)


@given(candidates, st.integers(1, 8), st.integers(1, 5), st.randoms(use_true_random=False))
def test_parts_merge_to_the_same_whatever_their_number_and_order(matches, k, parts, random):
    tops = []
    for part in range(parts):
        top = TopK(k, 3)
        top.merge(matches[part::parts])
        tops.append(top)
    random.shuffle(tops)
    merged = TopK(k, 3)
    for top in tops:
        merged.merge(top.matches)
    assert merged.matches == everything(matches, k, 3)


def test_the_bound_spares_most_verifications():
    rng = np.random.default_rng(0)
    putatives = sorted(rng.integers(0, 60, 1000).tolist(), reverse=True)
    best = TopK(10, 1)
    verified = 0
    for index, putative in enumerate(putatives):
        if not best.can_enter(putative, f"s3://b/{index}"):
            break
        verified += 1
        best.add(Match(putative * 9 // 10, putative, f"s3://b/{index}"))
    assert verified < 300


def test_verdicts_are_by_what_chance_brings_as_far():
    def said(*expected, inliers=40, via=()):
        return verdict([Match(inliers, 90, "", via, number) for number in expected])

    assert [said(number) for number in (1e-9, 0.049, 0.05, 0.99, 1, 200)] == [
        "match", "match", "uncertain", "uncertain", "no match", "no match",
    ]  # fmt: skip
    assert said(3, 0.01, 0.5) == "match"  # the surest
    assert said(1e-9, via=(Step(40, ""), Step(40, ""))) == "no match"


def test_verdicts_of_results_of_before_are_by_inliers():
    assert verdict([]) == "no match"
    assert [verdict([Match(n, n, "")]) for n in (MIN_INLIERS - 1, MIN_INLIERS, 99)] == [
        "no match",
        "uncertain",
        "match",
    ]
