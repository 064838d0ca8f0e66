"""The centre of where photographs say that they were taken."""

import numpy as np
import pytest

from landmark.matching.whereabouts import Whereabouts, whereabouts

ROME, PARIS = (41.89021, 12.49223), (48.85837, 2.29448)
METRE = 1 / 111_195  # degrees of latitude


def test_one_photograph_is_where_it_says():
    found = whereabouts([ROME])
    assert (found.latitude, found.longitude) == ROME
    assert (found.spread_m, found.photographs) == (0, 1)
    assert whereabouts([]) is None


def test_some_in_another_town_do_not_move_it():
    rng = np.random.default_rng(0)
    near = [(ROME[0] + north, ROME[1] + east) for north, east in rng.normal(0, 20 * METRE, (7, 2))]
    found = whereabouts([*near, PARIS, PARIS, (0.5, 0.5)])
    assert (found.latitude, found.longitude) == pytest.approx(ROME, abs=40 * METRE)
    assert 5 < found.spread_m < 60 and found.photographs == 10


def test_it_is_the_point_of_the_least_sum_of_distances():
    rng = np.random.default_rng(1)
    places = rng.normal(0, 1000 * METRE, (9, 2))  # on the equator degrees are alike
    found = whereabouts([tuple(place) for place in places.tolist()])

    def total(latitude, longitude):
        return np.hypot(*(places - (latitude, longitude)).T).sum()

    least = total(found.latitude, found.longitude)
    for step in (30 * METRE, -30 * METRE):
        assert least < total(found.latitude + step, found.longitude)
        assert least < total(found.latitude, found.longitude + step)


def test_a_point_that_it_meets_holds_it():
    corners = [(0.0, 0.0), (0.0, 0.01), (0.01, 0.0), (0.01, 0.01)]
    found = whereabouts([*corners, (0.005, 0.005)])
    assert (found.latitude, found.longitude) == (0.005, 0.005)
    three = whereabouts([(0.0, 0.0)] * 3 + [(0.0, 0.01)])
    assert (three.latitude, three.longitude) == (0.0, 0.0)


def test_the_date_line_and_the_poles_are_no_different():
    found = whereabouts([(10.0, 179.9999), (10.0, -179.9999), (10.0, 179.9999)])
    assert found.latitude == 10 and abs(found.longitude) == 179.9999 and found.spread_m == 0
    assert whereabouts([(89.9999, 0.0), (89.9999, 120.0), (89.9999, -120.0)]).latitude == 90
    assert whereabouts([(0.0, 0.0), (0.0, 180.0)]).photographs == 2  # opposite: either


def test_the_order_says_nothing_and_others_read_it():
    places = [ROME, PARIS, (45.0, 7.0)]
    found = whereabouts(places)
    assert whereabouts(places[::-1]) == found
    feature = found.to_geojson()
    assert feature["geometry"]["coordinates"] == [found.longitude, found.latitude]
    assert feature["properties"] == {"spread_m": found.spread_m, "photographs": 3}
    assert Whereabouts(**Whereabouts.from_geojson(feature)) == found
    for wrong in (None, 7, {}, {"geometry": {"coordinates": [1]}, "properties": {}}):
        with pytest.raises(ValueError, match="no place"):
            Whereabouts.from_geojson(wrong)
