"""The bundled model by LiteRT: the features of its SavedModel, without TensorFlow."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.photographs import GALLERY, choose_images
from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction import litert
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import LITERT, LITERT_FILE, TENSORFLOW, ModelConfig, resolve_model
from landmark.settings import Settings

# As docs/models.md states them.
PX, DESCRIPTOR, ATTENTION = 1e-3, 1e-4, 1e-5
SAME_PLACES = 0.995


@pytest.fixture(scope="module")
def by_tensorflow(bundled_model):
    """The bundled model's SavedModel, with other parameters where asked."""
    return lambda **changes: load_extractor(replace(bundled_model, runtime=TENSORFLOW, **changes))


def assert_same_features(one, other):
    """Each feature of either has one of the other at its place and scale, within the bounds."""
    assert abs(len(one) - len(other)) <= max(1, 0.005 * len(one))
    if not len(one):
        return
    away = np.abs(one.locations[:, None] - other.locations[None]).max(axis=2)
    away[~np.isclose(one.scales[:, None], other.scales[None])] = np.inf
    nearest = away.argmin(axis=1)
    same = away.min(axis=1) <= PX
    assert same.mean() >= SAME_PLACES
    # Descriptors are kept as float16, where values below 1 may be rounded by 5e-4 otherwise.
    for name, bound in (("attention", ATTENTION), ("descriptors", 5e-4 + DESCRIPTOR)):
        mine, others = (getattr(found, name).astype(np.float32) for found in (one, other))
        assert np.abs(mine[same] - others[nearest[same]]).max() <= bound


def test_the_bundled_model_runs_by_litert_and_its_savedmodel_gives_the_same(
    bundled_model, extractor, by_tensorflow
):
    assert bundled_model.runtime == LITERT
    reference = by_tensorflow()
    for file in choose_images(GALLERY, 6):
        data = file.read_bytes()
        found = extractor.extract(data, file.name)
        assert len(found) > 500
        assert_same_features(found, reference.extract(data, file.name))


@pytest.mark.parametrize("scales", [(1.0,), (0.3536, 0.7071, 1.4142), (2.0, 0.1)])
@pytest.mark.parametrize("size", [(224, 320), (203, 150), (33, 47), (10, 300)])
def test_both_runtimes_agree_at_other_sizes_and_scales(
    bundled_model, by_tensorflow, photograph, scales, size
):
    image = Image.open(io.BytesIO(photograph(1))).resize(size[::-1], Image.Resampling.LANCZOS)
    changes = {"image_scales": scales, "score_threshold": 0.0, "max_features": 200}
    raw = [
        extractor.network(np.asarray(image), extractor.model)
        for extractor in (
            load_extractor(replace(bundled_model, **changes)), by_tensorflow(**changes)
        )
    ]  # fmt: skip
    assert len(raw[0].attention) == len(raw[1].attention)
    np.testing.assert_allclose(raw[0].attention, raw[1].attention, atol=ATTENTION)
    order = [np.lexsort((*one.locations.T.round(1), one.scales)) for one in raw]
    for name, bound in (("locations", PX), ("descriptors", DESCRIPTOR), ("scales", 1e-6)):
        mine, others = (getattr(one, name)[kept] for one, kept in zip(raw, order, strict=True))
        np.testing.assert_allclose(mine, others, atol=bound)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_of_nothing_has_no_features(extractor, grey):
    assert len(extractor.extract_pixels(np.full((300, 400, 3), grey, np.uint8), "grey")) == 0


def run_without_tensorflow(folder: Path, *command: str) -> subprocess.CompletedProcess:
    """Run Python where an import of TensorFlow, or of what brings it, is an error."""
    for name in ("tensorflow", "tensorflow_hub", "keras", "tf_keras"):
        (folder / f"{name}.py").write_text("raise RuntimeError('TensorFlow was started')\n")
    path = os.pathsep.join([str(folder), *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=120
    )


def test_nothing_starts_tensorflow_for_the_bundled_model(bundled_model, photograph, tmp_path):
    (tmp_path / "forbidden").mkdir()
    for place in range(2):
        (tmp_path / "places" / str(place)).mkdir(parents=True)
        for view in range(2):
            image = tmp_path / "places" / str(place) / f"{view}.jpg"
            image.write_bytes(photograph(place, view))
    options = ["--model", bundled_model.handle, "--json", str(tmp_path / "figures.json")]
    command = ["-m", "landmark.evaluation", str(tmp_path / "places"), *options]
    ran = run_without_tensorflow(tmp_path / "forbidden", *command)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["images"] == 4 and figures["model"] == bundled_model.fingerprint
    refused = run_without_tensorflow(tmp_path / "forbidden", "-c", "import tensorflow")
    assert "TensorFlow was started" in refused.stderr


def test_what_fails_on_one_image_leaves_the_network_to_others(
    bundled_model, photograph, monkeypatch
):
    extractor = load_extractor(replace(bundled_model, max_features=50))
    before = extractor.extract(photograph(0), "before.jpg")
    refined = litert.refined

    def short_of_memory(logits, places):
        if logits.shape[1] == 320:
            raise MemoryError("no 3 GB")
        return refined(logits, places)

    monkeypatch.setattr(litert, "refined", short_of_memory)
    with pytest.raises(UnusableImage, match=r"one\.jpg: the model refuses it \(no 3 GB\)"):
        extractor.extract(photograph(1), "one.jpg")
    monkeypatch.undo()
    assert extractor.extract(photograph(0), "after.jpg").to_bytes() == before.to_bytes()


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "another"])
def test_a_file_that_is_no_network_is_named(bundled_model, tmp_path, damage):
    folder = shutil.copytree(bundled_model.handle, tmp_path / "landmark-v2")
    file = folder / LITERT_FILE
    content = file.read_bytes()
    changed = {
        "empty": b"",
        "text": b"no network" * 99,
        "truncated": content[:100_000],
        "another": content.replace(b"keypoints", b"something"),
    }
    file.write_bytes(changed[damage])
    with pytest.raises(LandmarkError, match=rf"{file}: no network .*; export the model") as told:
        load_extractor(resolve_model(Settings(model=str(folder))))
    assert len(str(told.value).splitlines()) == 1


def test_the_fingerprint_follows_the_runtime_and_what_it_runs(bundled_model, tmp_path):
    folder = shutil.copytree(bundled_model.handle, tmp_path / "landmark-v1")
    copied = resolve_model(Settings(model=str(folder)))
    assert copied.fingerprint == bundled_model.fingerprint
    assert replace(copied, runtime=TENSORFLOW).fingerprint != copied.fingerprint
    (folder / "saved_model.pb").write_bytes(b"of others")  # which LiteRT does not read
    assert replace(copied).fingerprint == copied.fingerprint
    (folder / LITERT_FILE).write_bytes(b"other weights")
    assert replace(copied).fingerprint != copied.fingerprint
    (folder / LITERT_FILE).unlink()
    assert resolve_model(Settings(model=str(folder))).runtime == TENSORFLOW


def test_a_model_noted_before_there_was_another_runtime_stays_what_it_was(
    bundled_model, extractor, photograph
):
    """So searches go on with a table's former features until all are extracted anew."""
    record = bundled_model.record()
    del record["runtime"]
    former = replace(bundled_model, runtime=TENSORFLOW).fingerprint
    model = ModelConfig.from_record(record, former)
    assert model.runtime == TENSORFLOW and model.fingerprint == former
    data = photograph(0)
    assert_same_features(load_extractor(model).extract(data, ""), extractor.extract(data, ""))
