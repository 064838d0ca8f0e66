"""Exact top-k with an upper bound."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from landmark.matching.ranking import MIN_INLIERS, Match, Step, TopK, verdict

candidates = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12), st.sampled_from([False] * 5 + [True])),
    max_size=40,
).map(
    lambda found: [  # inliers never exceed putatives
        Match(min(a, b), max(a, b), f"s3://b/{index:02d}", said_same=said)
        for index, (a, b, said) in enumerate(found)
    ]
)


def everything(matches, k, min_inliers):
    kept = [match for match in matches if match.said_same or match.inliers >= min_inliers]
    return sorted(kept, key=lambda match: match.rank_key)[:k]


@given(candidates, st.integers(1, 8), st.integers(0, 6))
def test_the_bound_changes_nothing_ties_included(matches, k, min_inliers):
    best = TopK(k, min_inliers)
    at_best = [match._replace(inliers=match.putative) for match in matches]
    for bound, match in sorted(
        zip(at_best, matches, strict=True), key=lambda pair: pair[0].rank_key
    ):
        if not best.can_enter(bound):
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
        if not best.can_enter(Match(putative, putative, f"s3://b/{index}")):
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


def test_what_people_say_is_the_verdict_and_comes_first():
    said = Match(0, 2, "s3://b/said", expected=50.0, said_same=True)
    assert verdict([said]) == "match"
    assert verdict([said._replace(said_same=False)]) == "no match"
    assert said.rank_key < Match(900, 900, "s3://b/a").rank_key
    assert said.strength > 900 and Match(900, 900, "").strength == 900


def test_verdicts_of_results_of_before_are_by_inliers():
    assert verdict([]) == "no match"
    assert [verdict([Match(n, n, "")]) for n in (MIN_INLIERS - 1, MIN_INLIERS, 99)] == [
        "no match",
        "uncertain",
        "match",
    ]
