"""The steps round the network, beside TensorFlow's own of the SavedModel's graph."""

from __future__ import annotations

import numpy as np
import pytest

from landmark.extraction import keypoints

tf = pytest.importorskip("tensorflow")

from training import network  # noqa: E402
from training.export import _peak_offsets  # noqa: E402


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize("scale", [0.05, 0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0])
@pytest.mark.parametrize("size", [(60, 80), (37, 101), (10, 300), (1, 5)])
def test_an_image_is_scaled_as_tensorflow_does_it(size, scale):
    image = noise(*size, 3)
    sides = [max(1, int(side)) for side in np.rint(np.float32(size) * np.float32(scale))]
    expected = tf.image.resize(image, sides, antialias=True).numpy()
    scaled = keypoints.scaled_image(image, scale)
    assert scaled.dtype == np.float32 and scaled.shape == expected.shape
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


@pytest.mark.parametrize("most", [1000, 7])
@pytest.mark.parametrize("size", [(64, 90), (17, 40), (16, 40), (5, 5)])
def test_maxima_are_those_of_the_graph(size, most):
    logits = 4 * noise(*size) - 2
    threshold = 0.6
    places, values = network.local_maxima(tf.constant(logits), most, keypoints.BORDER_PX)
    scores = tf.sigmoid(values).numpy()
    found, found_scores = keypoints.local_maxima(logits, threshold, most)
    np.testing.assert_array_equal(found, places.numpy()[scores >= threshold])
    np.testing.assert_allclose(found_scores, scores[scores >= threshold], atol=1e-6)
    if len(found):
        offsets = _peak_offsets(tf.constant(logits), tf.constant(found.astype(np.int32))).numpy()
        np.testing.assert_allclose(keypoints.refined(logits, found), found + offsets, atol=1e-5)


def test_equal_maxima_come_row_by_row_and_plateaus_not_at_all():
    logits = np.zeros((40, 40), np.float32)
    for y, x in ((30, 10), (10, 30), (10, 12)):
        logits[y, x] = 3
    logits[20:27, 20:27] = 2  # its middle is the largest of its square, but so is all of that
    found, scores = keypoints.local_maxima(logits, 0.7, 10)
    kept = [tuple(place) for place in found if logits[tuple(place)] == 3]
    assert kept == [(10, 12), (10, 30), (30, 10)]
    assert (23, 23) not in {tuple(place) for place in found}
    np.testing.assert_allclose(scores[:3], 1 / (1 + np.exp(-3)), rtol=1e-6)


def test_logits_of_any_size_have_a_score():
    logits = np.full((20, 20), -200, np.float32)
    logits[9, 9] = 200
    found, scores = keypoints.local_maxima(logits, 0.0, 10)
    assert [tuple(place) for place in found] == [(9, 9)] and scores[0] == 1


def test_samples_are_those_of_the_graph():
    levels = [noise(32 >> level, 48 >> level, 4 + level, seed=level) for level in range(4)]
    where = np.random.default_rng(9).uniform(-3, [67, 99], (50, 2)).astype(np.float32)
    expected = [
        network.bilinear_samples(
            tf.constant(level[None]), (tf.constant(where[None]) + 0.5) / (2 << index) - 0.5
        ).numpy()[0]
        for index, level in enumerate(levels)
    ]
    samples = keypoints.bilinear_samples(levels, where)
    np.testing.assert_allclose(samples, np.concatenate(expected, axis=1), atol=1e-6)
