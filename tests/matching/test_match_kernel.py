"""How alike two images are, from a sketch of each."""

import numpy as np
import pytest

from landmark.matching.match_kernel import MatchKernel, Sketches


def views_of(make_view, view):
    return [make_view(place, view).descriptors for place in range(20)]


@pytest.fixture(scope="module")
def kernel(make_view):
    sample = np.concatenate(views_of(make_view, 0) + views_of(make_view, 1)).astype(np.float32)
    return MatchKernel.fit(sample, np.random.default_rng(0))


def test_another_view_of_the_place_is_most_alike(kernel, make_view):
    others = Sketches([kernel.sketch(view) for view in views_of(make_view, 0)])
    for place, view in enumerate(views_of(make_view, 2)):
        assert kernel.similarities(Sketches([kernel.sketch(view)]), others).argmax() == place


def test_the_most_alike_of_the_known_counts(kernel, make_view):
    others = Sketches([kernel.sketch(view) for view in views_of(make_view, 0)])
    known = [kernel.sketch(make_view(place, 1).descriptors) for place in (3, 8, 11)]
    alone = [kernel.similarities(Sketches([one]), others) for one in known]
    together = kernel.similarities(Sketches(known), others)
    np.testing.assert_array_equal(together, np.max(alone, axis=0))
    assert {*np.argsort(-together)[:3]} == {3, 8, 11}


def test_the_order_of_features_does_not_matter(kernel, make_view):
    view = make_view(3).descriptors
    assert kernel.sketch(view[::-1]).to_bytes() == kernel.sketch(view).to_bytes()


def test_a_sketch_reads_back(kernel, make_view):
    sketch = kernel.sketch(make_view(3).descriptors)
    read = kernel.read(sketch.to_bytes())
    np.testing.assert_array_equal(read.words, sketch.words)
    np.testing.assert_array_equal(read.bits, sketch.bits)
    assert (np.diff(sketch.words.astype(int)) > 0).all()


@pytest.mark.parametrize("size", [2, 5, 40, 64, 100, 128])
def test_descriptors_of_any_length(size):
    rng = np.random.default_rng(size)
    sample = rng.normal(size=(300, size)).astype(np.float32)
    kernel = MatchKernel.fit(sample, rng)
    others = Sketches([kernel.sketch(sample[first : first + 50]) for first in range(0, 300, 50)])
    alike = kernel.similarities(Sketches([kernel.sketch(sample[:50])]), others)
    assert len(alike) == 6 and alike.argmax() == 0
    assert kernel.read(kernel.sketch(sample[:50]).to_bytes()).bits.shape[1] == -(-size // 64)


def test_the_similarity_is_the_kernels(kernel, make_view):
    """Word by word, as the paper has it."""
    one, other = (kernel.sketch(make_view(3, view).descriptors) for view in range(2))
    axes = kernel.axes.shape[2]
    expected = 0.0
    for word, bits in zip(one.words, one.bits, strict=True):
        for numbers in other.bits[other.words == word]:
            differ = sum(int(a ^ b).bit_count() for a, b in zip(bits, numbers, strict=True))
            expected += max(1 - 2 * differ / axes, 0) ** 5
    alike = kernel.similarities(Sketches([one]), Sketches([other]))
    assert alike == pytest.approx(expected / np.sqrt(len(other.words)), rel=1e-5)


def test_fewer_descriptors_than_words():
    sample = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    kernel = MatchKernel.fit(sample, np.random.default_rng(0))
    shown = Sketches([kernel.sketch(sample)])
    alike = kernel.similarities(shown, shown)
    assert np.isfinite(kernel.words).all() and alike > 0
