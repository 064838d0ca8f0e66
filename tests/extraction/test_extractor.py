"""Extraction through real SavedModels of each kind; see models.py for what they detect."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models
from benchmarks.photographs import GALLERY
from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction import extractor as extraction
from landmark.extraction import saved_models
from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import LITERT, TENSORFLOW, ModelConfig, resolve_model
from landmark.settings import Settings

HEIGHT, WIDTH = 48, 64
BLACK = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def config(handle, **changes) -> ModelConfig:
    parameters = {
        "max_image_size_px": 1024,
        "image_scales": (1.0,),
        "max_features": 100,
        "score_threshold": 100.0,
        "max_distance": 0.8,
    }
    return ModelConfig(str(handle), **(parameters | changes))


def png(pixels, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def spots(*places) -> np.ndarray:
    """Black with single pixels of the given (y, x, (red, green, blue))."""
    pixels = BLACK.copy()
    for y, x, colour in places:
        pixels[y, x] = colour
    return pixels


def blob(height, width, y, x) -> np.ndarray:
    """A soft white spot, brightest at (y, x)."""
    ys, xs = np.mgrid[:height, :width]
    grey = 255 * np.exp(-((ys - y) ** 2 + (xs - x) ** 2) / (2 * 6.0**2))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def hub_model(folder) -> Path:
    return models.save_hub_model(folder / "toy-v1")


@pytest.fixture(scope="module")
def every_kind(folder, hub_model) -> dict[str, Path]:
    return {
        "hub": hub_model,
        "hub_v1": models.save_hub_model_v1(folder / "hub_v1"),
        "garden": models.save_garden_model(folder / "garden"),
        "garden_v1": models.save_garden_model_v1(folder / "garden_v1"),
    }


KINDS = ["hub", "hub_v1", "garden", "garden_v1"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_gives_the_same_features(every_kind, kind):
    model = config(every_kind[kind], image_scales=(1.0, 0.5))
    image = spots((10, 40, (255, 255, 255)), (30, 5, (153, 0, 0)), (7, 9, (20, 20, 20)))

    features = load_extractor(model).extract(png(image), "spots.png")

    # Attention 1000 and 200; at the second scale half of it; the third spot is below 100.
    np.testing.assert_array_equal(features.locations, [[10, 40], [10, 40], [30, 5], [30, 5]])
    np.testing.assert_allclose(features.attention, [1000, 500, 200, 100], rtol=1e-5)
    np.testing.assert_array_equal(features.scales, [1, 0.5, 1, 0.5])
    white = np.float16(np.full(4, 0.5))
    np.testing.assert_array_equal(features.descriptors[0, :4], white)
    red = np.array([0.6, 0, 0, 1]) / np.hypot(0.6, 1)
    np.testing.assert_allclose(features.descriptors[2, :4], red, atol=5e-4)
    assert (features.width, features.height) == (WIDTH, HEIGHT)
    assert features.global_descriptor is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_feature_is_a_result(every_kind, kind):
    features = load_extractor(config(every_kind[kind])).extract(png(BLACK), "black.png")
    assert len(features) == 0
    assert features.descriptors.shape == (0, models.DIMENSIONS)
    assert features.locations.shape == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_types_and_unit_length(every_kind, kind):
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    features = load_extractor(config(every_kind[kind])).extract(png(noise), "noise.png")
    assert len(features) == 100
    assert features.descriptors.dtype == np.float16
    for array in (features.locations, features.scales, features.attention):
        assert array.dtype == np.float32
    lengths = np.linalg.norm(features.descriptors.astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)
    assert (np.diff(features.attention) <= 0).all()


def test_no_more_features_than_asked_for(hub_model):
    white = np.full_like(BLACK, 255)
    features = load_extractor(config(hub_model, max_features=7)).extract(png(white), "white.png")
    assert len(features) == 7
    # Equal attention: the network's order, which is row by row.
    np.testing.assert_array_equal(features.locations, [[0, x] for x in range(7)])


def test_the_same_image_gives_the_same_bytes(hub_model):
    noise = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    extractor = load_extractor(config(hub_model))
    first = extractor.extract(png(noise), "noise.png").to_bytes()
    assert extractor.extract(png(noise), "noise.png").to_bytes() == first


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright image under an EXIF orientation (CIPA DC-008, 4.6.4)."""
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    return np.ascontiguousarray(turned[orientation])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("max_size_px", [160, 100, 53, 37])
def test_locations_are_pixels_of_the_original_upright_image(hub_model, orientation, max_size_px):
    y, x = 25, 117
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(stored(blob(120, 160, y, x), orientation), exif=exif)

    model = config(hub_model, max_image_size_px=max_size_px, max_features=1)
    features = load_extractor(model).extract(data, "turned.png")

    half_a_seen_pixel = 0.5 * 160 / max_size_px + 0.1
    assert np.abs(features.locations[0] - [y, x]).max() <= half_a_seen_pixel
    assert (features.width, features.height) == (160, 120)


def test_locations_are_mapped_between_pixel_centres(hub_model):
    # 128 x 96 seen as 64 x 48: the block of four pixels (20..21, 60..61) becomes (10, 30).
    pixels = np.kron(spots((10, 30, (255,) * 3)), np.ones((2, 2, 1), np.uint8))
    model = config(hub_model, max_image_size_px=64, max_features=1)
    features = load_extractor(model).extract(png(pixels), "block.png")
    np.testing.assert_array_equal(features.locations, [[20.5, 60.5]])


def test_a_jpeg_reduced_by_its_decoder_keeps_its_places(hub_model):
    y, x = 403, 611
    buffer = io.BytesIO()
    Image.fromarray(blob(801, 1003, y, x)).save(buffer, "JPEG", quality=95)
    model = config(hub_model, max_image_size_px=100, max_features=1)
    features = load_extractor(model).extract(buffer.getvalue(), "large.jpg")
    assert np.abs(features.locations[0] - [y, x]).max() <= 0.5 * 10.03 + 0.5


def test_a_crop_has_places_of_its_own(hub_model):
    crop = blob(120, 160, 25, 117)[5:105, 60:160]
    model = config(hub_model, max_image_size_px=50, max_features=1)
    features = load_extractor(model).extract_pixels(crop, "crop")
    assert np.abs(features.locations[0] - [20, 57]).max() <= 1.0
    assert (features.width, features.height) == (100, 100)


def test_a_model_may_take_only_the_image_and_give_only_locations_and_descriptors(folder):
    path = models.save_plain_hub_model(folder / "plain")
    image = spots((10, 40, (255, 255, 255)), (3, 4, (200, 200, 200)))
    features = load_extractor(config(path)).extract(png(image), "spots.png")
    np.testing.assert_array_equal(features.locations, [[10, 40], [3, 4]])
    np.testing.assert_array_equal(features.attention, [1, 1])
    np.testing.assert_array_equal(features.scales, [1, 1])


def test_features_that_are_not_finite_or_have_no_direction_are_dropped(folder):
    path = models.save_strange_features(folder / "strange")
    features = load_extractor(config(path)).extract(png(BLACK), "black.png")
    np.testing.assert_array_equal(features.locations, [[4, 4], [0, 0]])
    np.testing.assert_allclose(features.descriptors[0], [0.6, 0.8], atol=5e-4)


def test_global_descriptors_are_pooled_over_scales_regardless_of_length(folder):
    path = models.save_garden_model(folder / "delg", global_descriptors=True)
    model = config(path, image_scales=(0.5, 2.0))
    features = load_extractor(model).extract(png(BLACK), "black.png")
    assert features.global_descriptor is not None
    np.testing.assert_allclose(features.global_descriptor, [0.5**0.5, 0.5**0.5, 0], atol=5e-4)
    assert features.global_descriptor.dtype == np.float16


# --- raw features and their PCA -------------------------------------------------------------------


@pytest.fixture
def raw_model(tmp_path) -> Path:
    return models.save_garden_model(tmp_path / "delf_gld" / "model", models.RAW_DIMENSIONS)


def save_pca(folder: Path, whiten: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    d = models.RAW_DIMENSIONS
    mean = rng.normal(0, 0.01, d).astype(np.float32)
    projection = np.linalg.qr(rng.normal(size=(d, 64)))[0].T.astype(np.float32)
    variances = rng.uniform(0.5, 2, d).astype(np.float32)
    models.save_datum(folder / "mean.datum", mean)
    models.save_datum(folder / "pca_proj_mat.datum", projection)
    if whiten:
        models.save_datum(folder / "pca_vars.datum", variances[:, None])
    return mean, projection[:40], variances[:40] if whiten else np.ones(40)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("place", ["pca", "../pca"])
def test_raw_features_are_projected_as_in_delf(raw_model, place, whiten):
    mean, projection, variances = save_pca(raw_model / place, whiten)
    image = spots((10, 40, (255, 255, 255)), (30, 5, (153, 0, 0)))
    features = load_extractor(config(raw_model)).extract(png(image), "spots.png")

    raw = np.zeros((2, models.RAW_DIMENSIONS))
    raw[:, :4] = [[1, 1, 1, 1], [0.6, 0, 0, 1]]
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    expected = (raw - mean) @ projection.T / np.sqrt(variances)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(features.descriptors, expected, atol=1e-3)


def test_raw_features_without_pca_are_refused(raw_model):
    extractor = load_extractor(config(raw_model))
    with pytest.raises(LandmarkError, match=r"1024 dimensions .* mean.datum and pca_proj_mat"):
        extractor.extract(png(BLACK), "black.png")


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "missing", "wrong shape"])
def test_a_damaged_pca_is_named(raw_model, damage):
    save_pca(raw_model / "pca", whiten=False)
    file = raw_model / "pca" / "pca_proj_mat.datum"
    if damage == "missing":
        file.unlink()
    elif damage == "wrong shape":
        models.save_datum(file, np.ones((4, 5), np.float32))
    else:
        content = {"empty": b"", "truncated": file.read_bytes()[:-3], "text": b"no datum"}
        file.write_bytes(content[damage])
    with pytest.raises(LandmarkError, match=r"pca_proj_mat\.datum"):
        load_extractor(config(raw_model))


# --- loading --------------------------------------------------------------------------------------


def test_a_model_is_loaded_once_a_process(hub_model, monkeypatch):
    loads = []
    original = extraction.load_saved_model
    monkeypatch.setattr(
        extraction, "load_saved_model", lambda *model: (loads.append(model), original(*model))[1]
    )
    model = config(hub_model, max_features=11)
    barrier = threading.Barrier(4)

    def load(_):
        barrier.wait()
        return load_extractor(replace(model))

    with ThreadPoolExecutor(4) as pool:
        extractors = list(pool.map(load, range(4)))
    assert len(loads) == 1
    assert all(extractor is extractors[0] for extractor in extractors)
    assert extractors[0].model == model


@pytest.mark.parametrize(
    ("runtime", "threads"),
    [(LITERT, 1), (LITERT, 2), (LITERT, 8), (TENSORFLOW, 1), (TENSORFLOW, 8)],
)
def test_features_are_the_same_by_any_number_of_threads(bundled_model, runtime, threads):
    model = replace(bundled_model, runtime=runtime)
    code = (
        "import sys; from landmark.extraction.extractor import load_extractor; import pickle\n"
        "model, threads, data = pickle.load(sys.stdin.buffer)\n"
        "found = load_extractor(model, threads).extract(data, 'image')\n"
        "if model.runtime == 'tensorflow':\n"
        "    import tensorflow as tf\n"
        "    assert tf.config.threading.get_intra_op_parallelism_threads() == threads\n"
        "else:\n"
        "    assert 'tensorflow' not in sys.modules\n"
        "pickle.dump(found, sys.stdout.buffer)"
    )
    data = min(GALLERY.rglob("*.jpg")).read_bytes()
    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((model, threads, data)),
        stdout=subprocess.PIPE,
        check=True,
        timeout=250,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    by_threads, alone = pickle.loads(ran.stdout), load_extractor(model).extract(data, "x")
    assert len(alone) > 100
    assert len(by_threads) == len(alone)
    for one in ("locations", "descriptors", "scales", "attention"):
        ours, theirs = getattr(by_threads, one), getattr(alone, one)
        if runtime == LITERT:
            assert ours.tobytes() == theirs.tobytes()
        else:  # whose sums some processors take in another order
            np.testing.assert_allclose(ours, theirs, atol=2e-3, rtol=1e-5)


def test_threads_share_an_extractor(hub_model):
    extractor = load_extractor(config(hub_model, max_features=1))
    places = [(y, 3 * y) for y in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda p: extractor.extract(png(spots((*p, (255,) * 3))), "spot").locations[0], places
        )
    np.testing.assert_array_equal(list(found), places)


def test_a_model_trained_anew_is_loaded_anew(tmp_path):
    path = models.save_hub_model(tmp_path / "toy")
    image = png(spots((1, 2, (255, 255, 255))))
    before = load_extractor(config(path)).extract(image, "spot")
    shutil.rmtree(path)
    models.save_hub_model(path, bias=50.0)
    after = load_extractor(config(path)).extract(image, "spot")
    assert after.attention[0] == pytest.approx(before.attention[0] + 50)


def test_a_worker_refuses_a_model_other_than_the_one_meant(tmp_path):
    path = models.save_hub_model(tmp_path / "toy")
    model = config(path)
    meant = model.fingerprint
    models.save_hub_model(path, bias=50.0)
    with pytest.raises(LandmarkError, match=f"is toy-.* but {meant}"):
        load_extractor(model)


def test_a_model_that_is_not_for_local_features_is_refused(folder):
    path = models.save_classifier(folder / "classifier")
    with pytest.raises(LandmarkError) as caught:
        load_extractor(config(path))
    message = str(caught.value)
    assert "serving_default(images) -> logits" in message
    assert "image_scales" in message
    assert "input_scales" in message


@pytest.mark.parametrize(
    ("descriptors", "pooled", "reason"),
    [
        ([0], 0, r"descriptors of shape \(0,\) where"),
        ([3, 0], 0, r"descriptors of shape \(3, 0\) where"),
        ([3, 8], 4001, "global descriptors of 4,001 dimensions"),
        ([3, 8], 16001, "global descriptors of 16,001 dimensions"),
    ],
)
def test_what_cannot_be_kept_is_told_when_the_model_is_loaded(
    tmp_path, descriptors, pooled, reason
):
    path = models.save_model_of_shapes(tmp_path / "model", descriptors, pooled)
    with pytest.raises(LandmarkError, match=f"^model {path}: gives {reason}") as refused:
        load_extractor(config(path))
    assert "\n" not in str(refused.value)


def test_no_features_may_be_without_dimensions(tmp_path):
    path = models.save_model_of_shapes(tmp_path / "model", [3, 8], 4000)
    extractor = load_extractor(config(path))
    assert len(extractor.extract(png(BLACK), "black.png")) == 3
    assert len(extractor.extract(png(np.full_like(BLACK, 255)), "white.png")) == 0


def test_an_unreadable_model_is_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(LandmarkError, match="cannot be loaded") as caught:
        load_extractor(config(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("handle", "cause"),
    [
        ("https://hub.invalid/google/delf/1", "does not resolve"),
        ("http://127.0.0.1:9/delf/1", "refused"),
    ],
)
def test_an_unreachable_model_is_told_in_one_line_with_the_remedies(
    handle, cause, tmp_path, monkeypatch
):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LandmarkError) as caught:
        load_extractor(config(handle))
    message = str(caught.value)
    for part in (handle, cause, "set LANDMARK_MODEL", "include/models/landmark-v1"):
        assert part in message
    assert len(message.splitlines()) == 1


def test_a_silent_host_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setattr(saved_models, "HUB_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        handle = f"http://127.0.0.1:{silent.getsockname()[1]}/delf/1"
        with pytest.raises(LandmarkError, match=r"no answer|timed out"):
            load_extractor(config(handle))
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def fetched_model(tmp_path, monkeypatch):
    """A model behind an address, and the folder that TF-Hub keeps its files in."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("http_proxy", raising=False)
    archive = shutil.make_archive(
        str(tmp_path / "toy"), "gztar", models.save_hub_model(tmp_path / "model")
    )

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(Path(archive).read_bytes())

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever).start()
        handle = f"http://127.0.0.1:{server.server_port}/delf/1"
        yield handle, tmp_path / "cache" / hashlib.sha1(handle.encode()).hexdigest()
        server.shutdown()


@pytest.mark.parametrize("cleaned", ["saved_model.pb", "variables/variables.index"])
def test_a_model_whose_cached_files_were_cleaned_is_fetched_again(cleaned, fetched_model):
    handle, cached = fetched_model
    saved_models.load_saved_model(handle, None)
    (cached / cleaned).unlink()
    saved_models.load_saved_model(handle, None)
    assert (cached / cleaned).exists()


def test_the_lock_of_a_download_that_died_is_taken_over(fetched_model, monkeypatch):
    assert 2 * (saved_models.HUB_LOCK_TIMEOUT_S + 5) < 60  # two looks, which lie 5 s apart
    monkeypatch.setattr(saved_models, "HUB_LOCK_TIMEOUT_S", 0.1)
    handle, cached = fetched_model
    cached.parent.mkdir()
    cached.with_name(cached.name + ".lock").write_text("host.4194304.0123456789abcdef")
    saved_models.load_saved_model(handle, None)
    assert (cached / "saved_model.pb").exists()


def test_an_image_that_the_model_refuses_is_the_images_fault(folder):
    extractor = load_extractor(config(models.save_fragile_model(folder / "picky", always=False)))
    assert len(extractor.extract(png(BLACK), "black.png")) == 0
    with pytest.raises(UnusableImage, match=r"white\.png: the model refuses it") as caught:
        extractor.extract(png(np.full_like(BLACK, 255)), "white.png")
    assert len(str(caught.value).splitlines()) == 1


def test_a_model_that_refuses_every_image_is_no_images_fault(folder):
    extractor = load_extractor(config(models.save_fragile_model(folder / "broken", always=True)))
    with pytest.raises(Exception, match="no white, please") as caught:
        extractor.extract(png(BLACK), "black.png")
    assert not isinstance(caught.value, LandmarkError)


def test_an_unusable_file_is_refused_before_the_model_runs(hub_model):
    with pytest.raises(UnusableImage, match=r"notes\.txt"):
        load_extractor(config(hub_model)).extract(b"hello", "notes.txt")


# --- configuration and fingerprint ----------------------------------------------------------------


def test_the_fingerprint_follows_content_and_parameters_but_not_the_place(hub_model, tmp_path):
    model = config(hub_model)
    copy = tmp_path / "elsewhere" / hub_model.name
    shutil.copytree(hub_model, copy)
    assert config(copy).fingerprint == model.fingerprint
    assert config(f"{copy}/").fingerprint == model.fingerprint
    assert model.fingerprint.startswith("toy-v1-")
    assert len(model.fingerprint) == len("toy-v1-") + 12
    # What is stored does not depend on how it is compared.
    assert replace(model, max_distance=0.7).fingerprint == model.fingerprint

    others = [
        replace(model, max_image_size_px=512).fingerprint,
        replace(model, image_scales=(1.0, 2.0)).fingerprint,
        replace(model, max_features=99).fingerprint,
        replace(model, score_threshold=1.0).fingerprint,
    ]
    weights = next((copy / "variables").glob("*.data*"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x99")
    others.append(config(copy).fingerprint)
    models.save_datum(copy / "pca" / "mean.datum", np.ones(3, np.float32))
    others.append(config(copy).fingerprint)
    assert len({model.fingerprint, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("handle", "name"),
    [
        ("https://tfhub.dev/google/delf/1", "delf-1"),
        ("https://www.kaggle.com/models/google/delf/tensorFlow1/delf/1", "delf-1"),
        ("gs://bucket/Our Models/Fancy_DELF.v2/", "fancy-delf-v2"),
        ("gs://bucket/delf_gld_20190411/model", "delf-gld-20190411"),
    ],
)
def test_the_fingerprint_of_a_url_is_readable(handle, name):
    assert config(handle).fingerprint.rpartition("-")[0] == name
    assert config(handle).fingerprint != config(handle + "2").fingerprint


def test_parameters_come_from_settings_then_the_model_then_delf(hub_model, tmp_path):
    path = shutil.copytree(hub_model, tmp_path / "toy")
    said = {"max_image_size": 640, "image_scales": [0.5, 1], "max_distance": 0.9, "note": "x"}
    (path / "landmark.json").write_text(json.dumps(said))
    model = resolve_model(Settings(model=str(path), image_scales=(1.0,)))
    assert model == ModelConfig(str(path), 640, (1.0,), 1000, 100.0, 0.9)


def test_delf_from_the_hub_runs_with_the_parameters_of_its_publication():
    model = resolve_model(Settings())
    scales = (0.25, 0.3536, 0.5, 0.7071, 1.0, 1.4142, 2.0)
    assert model == ModelConfig("https://tfhub.dev/google/delf/1", 1024, scales, 1000, 100.0, 0.8)


@pytest.mark.parametrize("content", ["{", "[1]", '{"max_features": -1}', '{"image_scales": "a"}'])
def test_a_wrong_parameter_file_is_named(hub_model, tmp_path, content):
    path = shutil.copytree(hub_model, tmp_path / "toy")
    (path / "landmark.json").write_text(content)
    with pytest.raises(LandmarkError, match=r"landmark\.json: .*; correct or remove"):
        resolve_model(Settings(model=str(path)))


def test_a_path_without_a_model_is_named(tmp_path):
    with pytest.raises(LandmarkError, match=r"nowhere: no such folder; set LANDMARK_MODEL"):
        resolve_model(Settings(model=str(tmp_path / "nowhere")))
    with pytest.raises(LandmarkError, match=r"no SavedModel.*set LANDMARK_MODEL"):
        resolve_model(Settings(model=str(tmp_path)))


def test_importing_and_configuring_need_no_tensorflow(hub_model):
    code = (
        "import sys; from landmark.extraction import extractor, models;"
        "from landmark.settings import Settings;"
        f"models.resolve_model(Settings(model={str(hub_model)!r})).fingerprint;"
        "assert not {'tensorflow', 'tensorflow_hub', 'keras', 'google.protobuf'} & {*sys.modules}"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(extraction.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)
