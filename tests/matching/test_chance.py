"""What pairs of different places say of chance, on simulated pairs of known probability."""

from itertools import pairwise

import numpy as np
import pytest

from landmark.matching.chance import (
    CAUTIOUS,
    CHANCE_LIKENESS,
    ENOUGH_PAIRS,
    Chance,
    ChanceHistogram,
    chance_figures,
)

# As with the bundled model: 12 % of pairs reach 4 inliers, and of these each next one 55 %.
SHARE, FROM, RATIO = 0.12, 4, 0.55


def simulated(pairs, rng, ratio=RATIO):
    beyond = FROM + rng.geometric(1 - ratio, pairs) - 1
    return ChanceHistogram.of(np.where(rng.random(pairs) < SHARE, beyond, 3))


def truth(inliers, ratio=RATIO):
    return SHARE * ratio ** (inliers - FROM)


@pytest.mark.parametrize("pairs", [435, 2_000, 20_000, 300_000])
@pytest.mark.parametrize("inliers", [12, 18, 30])
def test_the_truth_is_seldom_above(pairs, inliers):
    rng = np.random.default_rng(pairs)
    bounds = [simulated(pairs, rng).fit().probability(inliers) for _ in range(100)]
    assert np.mean([bound >= truth(inliers) for bound in bounds]) >= 0.93


def test_with_many_pairs_it_comes_close():
    chance = simulated(1_000_000, np.random.default_rng(0)).fit()
    for inliers, factor in ((8, 1.05), (12, 1.1), (18, 2.5), (24, 6)):
        assert truth(inliers) <= chance.probability(inliers) <= factor * truth(inliers)


def test_a_tail_that_falls_off_slowly_is_told():
    rng = np.random.default_rng(1)
    quick, slow = (simulated(50_000, rng, ratio).fit() for ratio in (0.5, 0.8))
    assert slow.probability(24) > 100 * quick.probability(24)
    assert slow.probability(24) >= truth(24, 0.8)


def test_a_few_pictures_of_one_place_are_no_chance():
    """Two of a million pairs have hundreds of inliers: nobody had noticed that they are true."""
    rng = np.random.default_rng(2)
    pure = simulated(200_000, rng)
    mixed = pure + ChanceHistogram.of([143, 900])
    for inliers in (12, 18, 24):
        assert mixed.fit().probability(inliers) < 3 * pure.fit().probability(inliers)


def test_thirty_images_do_not_pretend():
    """None of their 435 pairs gets anywhere: all the same, one in 435 / 3 might."""
    chance = ChanceHistogram((435,)).fit()
    assert chance.probability(1) == chance.probability(100) == pytest.approx(3 / 435, rel=0.01)
    assert chance.expected(100, 30) > 0.2
    few, many = (ChanceHistogram((996 * n, 3 * n, n)).fit() for n in (1, 100))
    assert few.probability(18) > 1000 * many.probability(18)
    assert ENOUGH_PAIRS > 435


@pytest.mark.parametrize(
    "counts", [(), (0, 0, 7), (1,), (90, 5, 3, 1, 1), (100, 100, 100), (9_000, 500, 0, 0, 60, 3)]
)
def test_more_inliers_are_never_likelier(counts):
    chance = ChanceHistogram(counts).fit()
    found = [chance.probability(inliers) for inliers in range(-1, 40)]
    assert found[0] == found[1] == 1
    assert all(0 <= after <= before <= 1 for before, after in pairwise(found))
    assert chance.expected(5, 0) == 0


@pytest.mark.parametrize("promised", [0.05, 1])
def test_in_a_table_of_a_million_no_more_is_false_than_promised(promised):
    rng, images = np.random.default_rng(3), 1_000_000
    false = []
    for _ in range(50):
        chance = simulated(50_000, rng).fit()
        enough = next(n for n in range(100) if chance.expected(n, images) < promised)
        false.append(images * truth(enough))
    assert promised / 20 < np.mean(false) <= promised


def test_nothing_is_known_of_no_pairs():
    assert ChanceHistogram().fit().probability(1_000) == 1


def test_the_pairs_of_two_nights_are_the_pairs_of_both():
    one, two = ChanceHistogram.of([0, 5, 5]), ChanceHistogram.of([7, 0])
    assert one + two == two + one == ChanceHistogram.of([0, 5, 5, 7, 0])
    assert (one + two).pairs == 5 and one + ChanceHistogram() == one


def test_what_is_rare_outlives_halving():
    assert ChanceHistogram((1_000, 9, 0, 1)).halved() == ChanceHistogram((500, 5, 0, 1))


def test_expected_is_the_same_to_the_last_digit():
    assert Chance((1, 1 / 3), 0.5).expected(1, 1_000) == 333.3
    assert Chance((1, 1 / 3), 0.5).expected(20, 1) == 6.358e-07


def test_what_nobody_measured_is_taken_for_more_than_what_was():
    """Of Oxford's photographs, mostly towers: 0.52 % reach 12 inliers, 0.043 % 18."""
    assert CAUTIOUS.probability(12) > 0.0052 and CAUTIOUS.probability(18) > 0.00043
    assert CAUTIOUS.expected(60, 1_000) < 0.05


def test_likeness_only_lowers_what_is_expected_and_never_below_what_chance_does():
    """Whatever law it follows: of pairs at most 1/x are x times as alike as their mean."""
    chance = Chance((1.0, 0.1), 0.5)
    without = chance.expected(3, 1000)
    assert chance.expected(3, 1000, None) == chance.expected(3, 1000, 1.0) == without
    steps = [chance.expected(3, 1000, likeness) for likeness in (1, 4, 8, 16, 80, 1e6)]
    assert steps == sorted(steps, reverse=True) and steps[2] == without
    assert steps[3] == without / 2 and steps[4] == without / 10
    rng = np.random.default_rng(0)
    for law in (
        rng.exponential(size=100_000),
        rng.pareto(2.0, 100_000),
        rng.lognormal(0, 1.5, 100_000),
    ):
        alike = CHANCE_LIKENESS * law / law.mean()
        for bound in (10, 30, 100):
            assert (alike >= bound).mean() <= chance.expected(0, 1, bound)


MODEL_PAIRS = simulated(200_000, np.random.default_rng(1))
OF_THE_MODEL = "200000 pairs of the model's photographs"


def test_a_small_table_of_another_kind_is_believed_at_once():
    """Drawn houses: 8 % of pairs reach 12 inliers, the model's photographs 0.1 %."""
    rng = np.random.default_rng(0)
    drawn = ChanceHistogram.of(np.where(rng.random(400) < 0.15, 9 + rng.geometric(0.15, 400), 5))
    figures = chance_figures(drawn, MODEL_PAIRS)
    assert figures.source == "400 pairs of this table, unlike the model's photographs"
    assert figures.chance.expected(30, 130) > 0.05 > MODEL_PAIRS.fit().expected(30, 130)
    assert figures.chance.expected(30, 130, 100.0) == figures.chance.expected(30, 130)


@pytest.mark.parametrize("pairs", [0, 30, 199, 400, 5_000])
def test_a_small_table_like_the_models_photographs_does_not_pretend(pairs):
    for seed in range(20):
        of_table = simulated(pairs, np.random.default_rng(seed)) if pairs else ChanceHistogram()
        assert chance_figures(of_table, MODEL_PAIRS).source == OF_THE_MODEL


def test_a_few_pairs_of_one_place_are_no_other_kind():
    few = simulated(300, np.random.default_rng(0)) + ChanceHistogram.of([18] * 4)
    assert chance_figures(few, MODEL_PAIRS).source == OF_THE_MODEL


def test_a_table_with_enough_pairs_goes_by_its_own():
    enough = simulated(ENOUGH_PAIRS, np.random.default_rng(0))
    figures = chance_figures(enough, MODEL_PAIRS)
    assert figures.source == f"{ENOUGH_PAIRS} pairs of this table"
    assert figures.chance == enough.fit()


def test_half_sure_is_what_makes_a_match_within_bounds():
    assert Chance((1.0, 1e-9), 0.5).half_sure(100) == 18
    some = Chance((*[1.0] * 12, 0.001), 0.6)
    half = some.half_sure(10**6)
    assert some.expected(half, 10**6) < 0.05 <= some.expected(half - 1, 10**6)
    assert Chance((1.0,), 1.0).half_sure(10) == 48
