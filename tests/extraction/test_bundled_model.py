"""The bundled model, in the engine."""

from landmark.matching.pair import compare


def test_the_bundled_model_matches_views_of_a_place_and_no_others(extractor, photograph):
    views = {
        (place, view): extractor.extract(photograph(place, view), "")
        for place in range(3)
        for view in (0, 1)
    }
    inliers = {
        (place, other): len(compare(views[place, 0], views[other, 1])[1].inliers)
        for place in range(3)
        for other in range(3)
    }
    assert min(inliers[place, place] for place in range(3)) >= 20
    assert max(count for (a, b), count in inliers.items() if a != b) < 12
