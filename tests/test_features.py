"""The data type that flows through."""

import numpy as np
import pytest

from landmark.features import LocalFeatures


def features(n, d=8, seed=0, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        "locations": rng.uniform(0, 100, (n, 2)).astype(np.float32),
        "descriptors": rng.normal(size=(n, d)).astype(np.float16),
        "scales": np.ones(n, np.float32),
        "attention": np.ones(n, np.float32),
        "width": 200,
        "height": 100,
    }
    return LocalFeatures(**{**fields, **changes})


@pytest.mark.parametrize("pooled", [None, np.ones(5, np.float16)])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_bytes_and_back(n, pooled):
    written = features(n, global_descriptor=pooled)
    read = LocalFeatures.from_bytes(written.to_bytes())
    for name in ("locations", "descriptors", "scales", "attention"):
        expected = getattr(written, name)
        assert getattr(read, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(read, name), expected)
    assert (read.width, read.height, len(read)) == (200, 100, n)
    assert (read.global_descriptor is None) == (pooled is None)


def test_the_same_features_give_the_same_bytes(monkeypatch):
    monkeypatch.setattr("time.localtime", lambda *_: (2031, 1, 2, 3, 4, 5, 0, 0, 0))
    later = features(5).to_bytes()
    monkeypatch.undo()
    assert later == features(5).to_bytes() == features(5).to_bytes()


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="attention has shape"):
        features(3, attention=np.ones(2, np.float32))
    with pytest.raises(ValueError, match="descriptors have shape"):
        features(3, descriptors=np.ones((2, 8), np.float16))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    locations = np.full((3, 2), value, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        features(3, locations=locations)


def test_pickles_are_refused():
    import io

    buffer = io.BytesIO()
    np.savez(buffer, locations=np.array([object()], dtype=object), size=np.array([1, 1]))
    with pytest.raises(ValueError, match="allow_pickle"):
        LocalFeatures.from_bytes(buffer.getvalue())
