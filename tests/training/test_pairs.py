"""Real pairs: what is mined from places, and the examples and losses made of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from landmark.evaluation.labels import read_labelled_folder
from landmark.features import LocalFeatures
from landmark.matching.pair import MatchingParameters

tf = pytest.importorskip("tensorflow")

from training.data import ViewParameters  # noqa: E402
from training.losses import losses  # noqa: E402
from training.measure import held_out, measure, turn  # noqa: E402
from training.network import Network  # noqa: E402
from training.pair_views import PairChoice, ScoreTargets, pair_examples  # noqa: E402
from training.pairs import (  # noqa: E402
    PhotographPair,
    guided_matches,
    lookalikes,
    pairs_of_place,
    read_pairs,
    write_pairs,
)
from training.places import family, split  # noqa: E402

PARAMETERS = MatchingParameters(0.85)
SMALL = ViewParameters(side_px=64, keypoints=16)
SHIFT = np.array([[1.0, 0.0, 12.0], [0.0, 1.0, -7.0]])


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def features(locations: np.ndarray, descriptors: np.ndarray) -> LocalFeatures:
    n = len(locations)
    return LocalFeatures(
        locations.astype(np.float32),
        unit(descriptors).astype(np.float16),
        np.ones(n, np.float32),
        np.linspace(1, 0.5, n, dtype=np.float32),
        640,
        480,
    )


def folder_of(tmp_path: Path, places: dict[str, int]) -> Path:
    """Places of so many small photographs each."""
    for place, count in places.items():
        (tmp_path / "places" / place).mkdir(parents=True)
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 255, (96, 128, 3), np.uint8)
            path = tmp_path / "places" / place / f"{index}.jpg"
            tf.io.write_file(str(path), tf.io.encode_jpeg(pixels))
    return tmp_path / "places"


# --- the split ------------------------------------------------------------------------------


def test_every_third_family_is_held_out_and_neighbours_stay_together(tmp_path: Path):
    places = ["aix", "nice_a", "nice_b", "oslo", "petra_x", "petra_y", "rome", "zurich"]
    training, held = split(folder_of(tmp_path, dict.fromkeys(places, 1)))
    assert [place.name for place in held] == ["aix", "petra_x", "petra_y"]
    assert [place.name for place in training] == ["nice_a", "nice_b", "oslo", "rome", "zurich"]
    assert family("hackescher_markt_station") == family("hackesche_hoefe")
    assert family("tokyo_skytree") == "tokyo_skytree"


def test_a_folder_without_places_is_told(tmp_path: Path):
    with pytest.raises(SystemExit, match="check --places"):
        split(tmp_path)


def test_neighbours_are_neither_right_nor_wrong(tmp_path: Path):
    places = folder_of(tmp_path, {"nd_one": 2, "nd_two": 1, "oslo": 2, "rome": 2, "xian": 2})
    queries = {query.image: query for query in held_out(places).queries}
    assert set(queries) == {"nd_one/0.jpg", "nd_one/1.jpg", "xian/0.jpg", "xian/1.jpg"}
    assert queries["nd_one/0.jpg"].easy == {"nd_one/1.jpg"}
    assert queries["nd_one/0.jpg"].junk == {"nd_one/0.jpg", "nd_two/0.jpg"}


def test_models_are_measured_side_by_side(tmp_path: Path):
    model = Path(__file__).parents[2] / "include" / "models" / "landmark-v1"
    for place in range(3):
        (tmp_path / str(place)).mkdir()
        blocks = np.random.default_rng(place).integers(0, 255, (40, 40, 3), np.uint8)
        picture = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
        for index in range(2):
            part = tf.constant(picture[8 * index :, 8 * index :])
            tf.io.write_file(str(tmp_path / str(place) / f"{index}.jpg"), tf.io.encode_jpeg(part))
    folder = read_labelled_folder(tmp_path)
    one, narrower = islice(measure(folder, [str(model)], [0.85, 0.3]), 2)
    assert one["map"] == 1.0 and one["found"] == 1.0 and one["false"] == 0
    assert one["pairs_of_different_places"] == 6 * 4
    assert one["equal_inliers"] >= 18 and one["false_at_equal"] == 0
    assert narrower["max_distance"] == 0.3 and narrower["model"] == one["model"]
    (turned,) = measure(folder, [str(model)], [0.85], 15)
    assert turned["map"] == 1.0


def test_a_turned_picture_has_no_empty_corners():
    white = np.full((300, 400, 3), 255, np.uint8)
    turned = turn(white, 15)
    assert turned.min() > 250
    assert turned.shape[1] / turned.shape[0] == pytest.approx(4 / 3, abs=0.02)
    assert 0.7 < turned.shape[1] / 400 < 0.8
    assert np.array_equal(turn(white, 0), white)


# --- mining ---------------------------------------------------------------------------------


def test_guided_matching_finds_partners_that_look_like_others():
    rng = np.random.default_rng(0)
    where = rng.uniform(40, 400, (60, 2))
    looks = unit(rng.normal(size=(60, 16)))
    # Half of the features look more like one far away than like their partner.
    changed = looks + 0.3 * rng.normal(size=looks.shape) / 4
    changed[30:] = 0.6 * looks[30:] + 0.5 * np.roll(looks[30:], 7, axis=0)
    bend = 6 * np.sin(where[:, ::-1] / 150)  # no affine transformation
    one = features(where, looks)
    other = features(where @ SHIFT[:, :2].T + SHIFT[:, 2] + bend, changed)
    inliers = np.column_stack([np.arange(20), np.arange(20)])
    found = guided_matches(one, other, inliers, SHIFT)
    assert len(found) >= 50
    assert (found[:, 0] == found[:, 1]).mean() > 0.95
    assert len(np.unique(found[:, 1])) == len(found)


def test_a_third_photograph_connects_two_that_do_not_match():
    rng = np.random.default_rng(1)
    where = rng.uniform(40, 400, (80, 2))
    day, night = (unit(rng.normal(size=(80, 32))) for _ in range(2))
    dusk = unit(day + night)  # as near to either
    place = {
        "oslo/day.jpg": features(where, day),
        "oslo/dusk.jpg": features(where * [1.1, 0.9], dusk),
        "oslo/night.jpg": features(where * 1.05, 0.45 * night + 0.3 * day),
    }
    kinds = {(p.one, p.other): p for p in pairs_of_place(place, PARAMETERS)}
    assert kinds["oslo/day.jpg", "oslo/dusk.jpg"].kind == "direct"
    chained = kinds["oslo/day.jpg", "oslo/night.jpg"]
    assert chained.kind == "chained" and chained.locations.shape[1] > 40
    np.testing.assert_allclose(chained.locations[0] * 1.05, chained.locations[1], atol=0.1)


def test_photographs_of_nothing_in_common_are_no_pair():
    rng = np.random.default_rng(2)
    place = {
        f"oslo/{i}.jpg": features(rng.uniform(40, 400, (80, 2)), rng.normal(size=(80, 32)))
        for i in range(3)
    }
    assert pairs_of_place(place, PARAMETERS) == []


def test_lookalikes_are_of_different_families():
    rng = np.random.default_rng(3)
    where, looks = rng.uniform(40, 400, (80, 2)), rng.normal(size=(80, 32))
    names = ("nd_a/0.jpg", "nd_b/0.jpg", "oslo/0.jpg", "rome/0.jpg")
    found = lookalikes(
        {
            name: features(where + i, looks if name[0] in "no" else rng.normal(size=looks.shape))
            for i, name in enumerate(names)
        },
        PARAMETERS,
    )
    assert {(p.one, p.other) for p in found} == {
        ("nd_a/0.jpg", "oslo/0.jpg"),
        ("nd_b/0.jpg", "oslo/0.jpg"),
    }
    assert all(p.kind == "lookalike" and p.locations.shape[1] > 60 for p in found)


def test_pairs_are_read_as_they_were_written(tmp_path: Path):
    pairs = [
        PhotographPair("a/1.jpg", "a/2.jpg", np.ones((2, 3, 2), np.float32), "direct"),
        PhotographPair("a/1.jpg", "a/3.jpg", np.zeros((2, 1, 2), np.float32), "chained"),
    ]
    write_pairs(tmp_path / "a.npz", pairs)
    for one, other in zip(pairs, read_pairs(tmp_path / "a.npz"), strict=True):
        assert (one.one, one.other, one.kind) == (other.one, other.other, other.kind)
        np.testing.assert_array_equal(one.locations, other.locations)
    write_pairs(tmp_path / "none.npz", [])
    assert read_pairs(tmp_path / "none.npz") == []


# --- examples -------------------------------------------------------------------------------


def some_pairs() -> list[PhotographPair]:
    rng = np.random.default_rng(0)
    points = rng.uniform(10, 85, (2, 30, 2)).astype(np.float32)
    points[1] = points[0]
    return [
        PhotographPair("oslo/0.jpg", "oslo/1.jpg", points, "direct"),
        PhotographPair("rome/0.jpg", "rome/1.jpg", points, "chained"),
        PhotographPair("oslo/0.jpg", "rome/1.jpg", points, "lookalike"),
    ]


def test_views_show_the_same_points_of_both_photographs():
    choice = PairChoice(some_pairs(), SMALL, seed=4)
    sizes = np.array([[96, 128], [96, 128]])
    shown = 0
    for index in range(40):
        homographies, seen = choice.views(index, sizes)
        assert seen.shape[1] <= SMALL.keypoints
        assert ((seen >= 4) & (seen <= 59)).all()
        shown += seen.shape[1]
        points = choice.pairs[choice.pair(index)].locations
        for homography, view, all_points in zip(homographies, seen, points, strict=True):
            mapped = np.column_stack([view[:, ::-1], np.ones(len(view))]) @ homography.T
            back = (mapped[:, :2] / mapped[:, 2:])[:, ::-1]
            nearest = np.linalg.norm(back[:, None] - all_points[None], axis=2).min(axis=1)
            assert (nearest < 1e-2).all()
    assert shown > 100


def test_every_second_example_follows_a_lookalike():
    choice = PairChoice(some_pairs(), SMALL, seed=1)
    before, after = set(), set()
    for index in range(0, 200, 2):
        one, other = (choice.pairs[choice.pair(i)] for i in (index, index + 1))
        if "lookalike" not in (one.kind, other.kind):
            before.add(one.kind)
            after.add((one.one[:4], other.one[:4]))
    assert before == {"direct", "chained"}
    assert after == {("oslo", "rome"), ("rome", "oslo")}


def test_pair_examples_depend_on_their_index_and_tell_lookalikes(tmp_path: Path):
    photos = folder_of(tmp_path, {"oslo": 2, "rome": 2})
    for place in ("oslo", "rome"):
        (tmp_path / "targets" / place).mkdir(parents=True)
        for index in range(2):
            np.savez(
                tmp_path / "targets" / place / f"{index}.npz",
                score=np.zeros((96, 128), np.float16),
                locations=np.zeros((0, 2), np.int16),
                descriptors=np.zeros((0, 4), np.float16),
            )

    def examples(start: int) -> tf.data.Dataset:
        choice = PairChoice(some_pairs(), SMALL, seed=2)
        return pair_examples(choice, photos, tmp_path / "targets", 8, SMALL, 2, start)

    whole, rest = list(examples(0).take(30)), list(examples(28).take(2))
    for one, other in zip(whole[28:], rest, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert whole[0]["images"].shape == (2, 64, 64, 3)
    repelled = [bool(tf.reduce_sum(one["repelled"]) > 0) for one in whole]
    real = [bool(tf.reduce_sum(one["weights"]) > 0) for one in whole]
    assert 0 < sum(repelled) < sum(real) and not any(np.logical_and(repelled, real))
    assert not any(tf.reduce_sum(one["taught"]) for one in whole)
    assert {int(one["place"]) for one in whole} == {1, 2}


def test_scores_are_lower_where_no_photograph_of_the_place_matched(tmp_path: Path):
    (tmp_path / "oslo").mkdir()
    for index in range(2):
        np.savez(
            tmp_path / "oslo" / f"{index}.npz",
            score=np.ones((96, 128), np.float16),
            locations=np.zeros((0, 2), np.int16),
            descriptors=np.zeros((0, 4), np.float16),
        )
    points = np.full((2, 1, 2), 40.2, np.float32)
    pairs = [PhotographPair("oslo/0.jpg", f"oslo/{i}.jpg", points, "direct") for i in (1, 2, 3)]
    scores = ScoreTargets(tmp_path, pairs)
    matched = scores("oslo/0.jpg")
    assert matched[40, 40] == matched[43, 37] == 1 and matched[44, 40] == matched[0, 0] == 0.5
    assert (scores("oslo/1.jpg") == 1).all()  # one pair tells too little


# --- losses ---------------------------------------------------------------------------------


def batch_of_two(place: tuple[int, int], repelled: bool = False) -> dict[str, tf.Tensor]:
    """Two examples of the same picture: all their keypoints have a twin in the other."""
    picture = np.random.default_rng(0).random((1, 1, 64, 64, 3)).astype(np.float32)
    where = np.stack(np.meshgrid(np.arange(8, 56, 12), np.arange(8, 56, 12)), -1).reshape(-1, 2)
    n = len(where)
    ones = tf.ones([2, n])
    return {
        "images": tf.constant(np.tile(picture, (2, 2, 1, 1, 1))),
        "scores": tf.zeros([2, 2, 64, 64]),
        "locations": tf.constant(np.tile(where.astype(np.float32), (2, 2, 1, 1))),
        "descriptors": tf.zeros([2, n, 8]),
        "weights": ones * (not repelled),
        "taught": tf.zeros([2, n]),
        "repelled": ones * repelled,
        "place": tf.constant(place),
    }


def test_photographs_of_one_place_are_no_negatives_of_each_other():
    tf.keras.utils.set_random_seed(0)
    network = Network(8)
    same, different = (
        losses(network, batch_of_two(place), training=False) for place in ((3, 3), (3, 4))
    )
    # Beside a twin in the other example, nobody can be surer than half.
    assert float(different["contrast"]) > float(same["contrast"]) + 0.2
    assert float(same["cosine"]) == 0.0 and float(same["repulsion"]) == 0.0


def test_lookalikes_repel_and_do_not_attract():
    tf.keras.utils.set_random_seed(0)
    found = losses(Network(8), batch_of_two((3, 4), repelled=True), training=False)
    assert float(found["repulsion"]) == pytest.approx(0.36, abs=1e-3)  # cosine 1, 0.4 allowed
    assert float(found["contrast"]) == 0.0
