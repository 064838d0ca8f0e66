"""How many images chance brings as far, and the verdict by it, in a real table."""

import pytest

from landmark.index.describe import describe_table
from landmark.matching.chance import CHANCE_LIKENESS, ENOUGH_PAIRS, ChanceHistogram
from landmark.search.comparison import Query
from landmark.search.likeness import LEAST_SAMPLE
from landmark.search.rank import rank_alone
from landmark.storage.aggregations import current_aggregation
from landmark.storage.chance import MeasuredChance, save_chance
from landmark.storage.database import Database
from landmark.storage.descriptions import spread_ids
from landmark.storage.images import save_image

MODEL = "model-1"
PLACES = 30
# Of pairs of another kind of photographs than these: 3 in 100 reach 30 inliers, and so on.
MUCH = ChanceHistogram((*[0] * 29, 97_000, *(round(3_000 * 0.97**n * 0.03) for n in range(150))))
LITTLE = ChanceHistogram((99_000, *(1 + round(500 * 0.5**n) for n in range(9))))


@pytest.fixture(scope="module")
def table(postgres, make_view):
    """One view each of many places; only read by the tests."""
    database = Database(postgres.create_database("test_expected"))
    database.migrate()
    for place in range(PLACES):
        save_image(database, f"s3://b/{place}.jpg", MODEL, "1", make_view(place))
    return database


def search(table, client, make_view, path="s3://b/query.jpg", **options):
    return rank_alone(table, client, MODEL, Query(path, make_view(7, 1)), 100, **options)


def forget_descriptions(table):
    with table.connect() as connection:
        connection.execute("UPDATE landmarks SET aggregation = NULL, global_descriptor = NULL")


def test_expected_is_images_times_what_chance_does(table, dask_client, make_view):
    result = search(table, dask_client, make_view, min_inliers=3, chance_of_model=LITTLE)
    assert result.chance == f"{LITTLE.pairs} pairs of the model's photographs"
    for match in result.matches:
        probability = LITTLE.fit().probability(match.inliers)
        assert match.expected == pytest.approx(PLACES * probability, rel=1e-3)
    own = search(table, dask_client, make_view, "s3://b/3.jpg", chance_of_model=LITTLE)
    assert own.matches[0].expected == pytest.approx(
        (PLACES - 1) * LITTLE.fit().probability(own.matches[0].inliers), rel=1e-3
    )


def test_a_shortlist_does_not_make_chance_rarer(table, dask_client, make_view):
    """What chance brings far is what is most alike: on the list, however short it is."""
    describe_table(table, MODEL)
    whole, short = (
        search(table, dask_client, make_view, mode=mode, shortlist=5, chance_of_model=LITTLE)
        for mode in ("exhaustive", "shortlist")
    )
    assert short.mode == "shortlist" and short.images_compared < PLACES
    assert whole.matches[0] == short.matches[0]


def test_who_is_far_more_alike_than_usual_is_less_expected(table, dask_client, make_view):
    """The match kernel's word beside the inliers'; without descriptions there is none."""
    forget_descriptions(table)
    before = search(table, dask_client, make_view, min_inliers=3, chance_of_model=LITTLE)
    assert {match.likeness for match in before.matches} == {None}
    describe_table(table, MODEL)
    after = search(table, dask_client, make_view, min_inliers=3, chance_of_model=LITTLE)
    assert [match[:3] for match in after.matches] == [match[:3] for match in before.matches]
    best = after.matches[0]
    assert best.likeness > 2 * CHANCE_LIKENESS
    assert best.expected < before.matches[0].expected / 2


def test_of_few_images_nobody_knows_what_is_usual(database, dask_client, make_view):
    for place in range(LEAST_SAMPLE - 1):
        save_image(database, f"s3://b/{place}.jpg", MODEL, "1", make_view(place))
    describe_table(database, MODEL)
    result = search(database, dask_client, make_view)
    assert result.matches and {match.likeness for match in result.matches} == {None}


def test_what_stands_for_the_table_is_spread_over_it(table):
    describe_table(table, MODEL)
    number = current_aggregation(table, MODEL).number
    every = spread_ids(table, number, 1000)
    assert len(every) == PLACES
    assert spread_ids(table, number, 3) == [every[0], every[(PLACES - 1) // 2], every[-1]]
    assert spread_ids(table, number + 1000, 3) == []


def test_the_same_inliers_say_less_where_chance_does_more(table, dask_client, make_view):
    forget_descriptions(table)
    sure, unsure = (
        search(table, dask_client, make_view, chance_of_model=known) for known in (LITTLE, MUCH)
    )
    assert sure.matches[0].inliers == unsure.matches[0].inliers
    assert (sure.verdict, unsure.verdict) == ("match", "uncertain")


def test_without_figures_it_is_cautious_and_says_so(table, dask_client, make_view):
    result = search(table, dask_client, make_view)
    assert result.chance == "not measured, so cautious"
    assert result.matches[0].expected > 0


def test_the_tables_own_figures_win_once_there_are_enough(table, dask_client, make_view):
    few = ChanceHistogram((ENOUGH_PAIRS - 11, *[1] * 10))
    save_chance(table, MODEL, MeasuredChance(4, few))
    result = search(table, dask_client, make_view, chance_of_model=LITTLE)
    assert result.chance == f"{LITTLE.pairs} pairs of the model's photographs"
    enough = few + ChanceHistogram((1,))
    save_chance(table, MODEL, MeasuredChance(5, enough))
    result = search(table, dask_client, make_view, chance_of_model=LITTLE)
    assert result.chance == f"{ENOUGH_PAIRS} pairs of this table"
    best = result.matches[0]
    assert best.expected == enough.fit().expected(best.inliers, PLACES, best.likeness)
    with table.connect() as connection:
        connection.execute("DELETE FROM landmark_chance")
