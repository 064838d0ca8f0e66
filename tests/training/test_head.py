"""The descriptors' layers trained alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from training.head import (  # noqa: E402
    HeadLosses,
    PairBatches,
    SampledPair,
    chosen_points,
    head_of,
    sampled_pairs,
)
from training.network import CHANNELS, Network  # noqa: E402
from training.pairs import PhotographPair  # noqa: E402
from training.samples import POINTS, SIZES, VERSIONS, Sampler, Samples  # noqa: E402
from training.trainer import Trainer  # noqa: E402


def samples(rng: np.random.Generator, values: np.ndarray) -> Samples:
    """Of 40 points, the same in every version and size but for noise."""
    n, channels = values.shape
    noise = rng.normal(scale=0.3, size=(VERSIONS, len(SIZES), n, channels))
    return Samples(
        rng.uniform(20, 600, (n, 2)).astype(np.float32),
        (values + noise).astype(np.float16),
        np.ones((VERSIONS, n), bool),
    )


def pair(
    rng: np.random.Generator, place: int, values: np.ndarray, lookalike: bool = False
) -> SampledPair:
    rows = np.tile(np.arange(len(values)), (2, 1))
    both = (samples(rng, values) for _ in range(2))
    return SampledPair(*both, rows, place, lookalike, 1.0)


def test_samples_are_taken_where_the_points_are(tmp_path: Path):
    tf.keras.utils.set_random_seed(0)
    network = Network(8)
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    photograph = tmp_path / "0.jpg"
    tf.io.write_file(str(photograph), tf.io.encode_jpeg(pixels))
    points = np.array([[30.0, 40.0], [50.5, 90.25], [2.0, 2.0]], np.float32)
    found = Sampler(network, tmp_path / "samples")(photograph, points, "oslo/0.jpg")
    assert found.values.shape == (VERSIONS, len(SIZES), 3, sum(CHANNELS))
    assert found.seen[0].tolist() == [True, True, False]
    image = tf.image.convert_image_dtype(
        tf.io.decode_jpeg(tf.io.read_file(str(photograph))), "float32"
    )
    expected = network.descriptors(network.levels(image[tf.newaxis]), points[np.newaxis])[0]
    np.testing.assert_allclose(
        network.described(tf.constant(found.values[0, 1], tf.float32)), expected, atol=2e-2
    )
    again = Sampler(network, tmp_path / "samples")(photograph, None, "oslo/0.jpg")
    np.testing.assert_array_equal(again.values, found.values)  # kept, not computed anew


def test_points_that_most_pairs_share_are_kept():
    few = np.zeros((2, 1, 2), np.float32)
    many = np.arange(2 * 2 * (POINTS + 5), dtype=np.float32).reshape(2, -1, 2)
    pairs = [PhotographPair("oslo/0.jpg", "oslo/1.jpg", many, "direct")]
    pairs += [PhotographPair("oslo/0.jpg", f"oslo/{i}.jpg", few, "direct") for i in (2, 3)]
    points = chosen_points(pairs)
    assert len(points["oslo/0.jpg"]) == POINTS
    assert points["oslo/0.jpg"][0].tolist() == [0, 0]


def test_pairs_refer_to_the_rows_of_their_points():
    rng = np.random.default_rng(0)
    one, other = (samples(rng, rng.normal(size=(40, 6))) for _ in range(2))
    locations = np.stack([one.points[::2], other.points[::-2]])
    left_out = np.full((2, 1, 2), 5.0, np.float32)  # a point that was not sampled
    mined = PhotographPair(
        "nd_a/0.jpg", "nd_a/1.jpg", np.concatenate([locations, left_out], axis=1), "direct"
    )
    nowhere = PhotographPair("nd_a/0.jpg", "rome/0.jpg", locations, "lookalike")  # not sampled
    (found,) = sampled_pairs([mined, nowhere], {"nd_a/0.jpg": one, "nd_a/1.jpg": other})
    np.testing.assert_array_equal(found.rows, [np.arange(0, 40, 2), np.arange(39, 0, -2)])
    assert not found.lookalike and 0.5 < found.zoom < 2


def test_training_tells_lookalikes_apart_and_brings_twins_together():
    rng = np.random.default_rng(0)
    tf.keras.utils.set_random_seed(0)
    network = Network(8)
    channels = sum(CHANNELS)
    looks = [rng.normal(size=(40, channels)) for _ in range(3)]
    pairs = [pair(rng, place, values) for place, values in enumerate(looks)]
    alike = samples(rng, looks[0] + rng.normal(scale=0.5, size=looks[0].shape))
    pairs.append(SampledPair(pairs[0].one, alike, pairs[0].rows, 0, True, 1.0))
    batches = PairBatches(pairs, [], per_step=5, rows=30)
    losses = HeadLosses(network, anchor=0.0, repulsion=1.0, temperature=0.07)
    trainer = Trainer(network, losses, head_of(network))
    history = []
    for _, batch in zip(range(40), batches.batches_from(0)):  # noqa: B905
        parts = trainer.train_step(batch, tf.constant(1e-3))
        history.append({name: float(value) for name, value in parts.items()})
    first, last = history[0], history[-1]
    assert last["contrast"] < 0.7 * first["contrast"]
    assert last["repulsion"] < first["repulsion"]
    assert first["anchor"] < 0.3 < last["anchor"]  # from where it was


def test_a_batch_follows_from_its_step():
    rng = np.random.default_rng(0)
    pairs = [pair(rng, place, rng.normal(size=(40, 6))) for place in range(3)]
    single = samples(rng, rng.normal(size=(40, 6)))
    one, other = (PairBatches(pairs, [single], per_step=5, rows=20, seed=3) for _ in range(2))
    for name, value in one(7).items():
        np.testing.assert_array_equal(value, other(7)[name])
    assert set(one(7)["place"].tolist()) & {-1}
    assert not np.array_equal(one(7)["one"], one(8)["one"])
