"""The training of the bundled model, and what the exported model promises."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landmark.extraction.extractor import load_extractor
from landmark.extraction.models import LITERT, TENSORFLOW, resolve_model
from landmark.matching.pair import compare
from landmark.settings import Settings

tf = pytest.importorskip("tensorflow")

from training.card import write_card  # noqa: E402
from training.cost import float_operations, measure, pyramid_operations  # noqa: E402
from training.data import ViewParameters, examples, projected, two_views, warped  # noqa: E402
from training.export import export  # noqa: E402
from training.losses import whole_loss  # noqa: E402
from training.network import STRIDES, Network, local_maxima  # noqa: E402
from training.targets import write_targets  # noqa: E402
from training.teacher import Teacher, fit_projection, trimmed  # noqa: E402
from training.train import parser, train  # noqa: E402
from training.trainer import Trainer, learning_rate_at, trained  # noqa: E402

MODEL = Path(__file__).parents[2] / "include" / "models" / "landmark-v1"
SMALL = ViewParameters(side_px=64, keypoints=16)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth random blobs, float32 [h, w, 3] in 0..1."""
    noise = np.random.default_rng(seed).random((height // 8 + 1, width // 8 + 1, 3))
    enlarged = tf.image.resize(noise, [height, width], method="nearest").numpy()
    return np.clip(enlarged, 0, 1).astype(np.float32)


def made_up_teacher(path: Path, two_head_layers: bool = False) -> Path:
    """Random weights of ALIKE's shapes, narrow; a first head layer of two changes nothing."""
    generator = np.random.default_rng(0)
    widths = {1: (3, 4), 2: (4, 8), 3: (8, 8), 4: (8, 16)}
    arrays: dict[str, np.ndarray] = {}
    for block, (inputs, outputs) in widths.items():
        for index, fan in ((1, inputs), (2, outputs)):
            weight = generator.normal(size=(outputs, fan, 3, 3)) / fan
            arrays[f"block{block}.conv{index}.weight"] = weight
            for key, value in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
                arrays[f"block{block}.bn{index}.{key}"] = np.full(outputs, value)
        if block > 1:
            weight = generator.normal(size=(outputs, inputs, 1, 1))
            arrays[f"block{block}.downsample.weight"] = weight
            arrays[f"block{block}.downsample.bias"] = np.zeros(outputs)
        arrays[f"conv{block}.weight"] = generator.normal(size=(4, outputs, 1, 1))
    arrays["convhead2.weight"] = generator.normal(size=(17, 16, 1, 1))
    if two_head_layers:
        arrays["convhead1.weight"] = np.eye(16)[:, :, np.newaxis, np.newaxis]
    np.savez(path, **{name: value.astype(np.float32) for name, value in arrays.items()})
    return path


def made_up_batch(size: int = 8) -> dict[str, tf.Tensor]:
    """One pair of views of a texture with random keypoints and descriptors."""
    generator = np.random.default_rng(0)
    locations = generator.integers(0, 96, (40, 2)).astype(np.float32)
    descriptors = generator.normal(size=(40, size)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    score = np.zeros((96, 96), np.float32)
    score[tuple(locations.astype(int).T)] = 1
    example = two_views(
        tf.constant(texture(96, 96)),
        tf.constant(score),
        tf.constant(locations),
        tf.constant(descriptors),
        SMALL,
        tf.constant([1, 2], tf.int64),
    )
    example["place"] = tf.constant(0)
    return {name: value[tf.newaxis] for name, value in example.items()}


# --- data -------------------------------------------------------------------------------------


def test_a_view_shows_each_keypoint_where_the_homography_puts_it():
    ramp = np.stack(np.meshgrid(np.arange(80.0), np.arange(60.0)), axis=2).astype(np.float32)
    homography = tf.constant([[0.9, 0.1, 12.0], [-0.12, 1.05, 9.0], [4e-4, -3e-4, 1.0]])
    view = warped(tf.constant(ramp), homography, 32).numpy()
    where = np.array([[0, 0], [5, 7], [20, 11], [31, 31]], np.float32)
    in_photograph = projected(tf.constant(where), homography).numpy()
    seen = view[tuple(where.astype(int).T)]  # the ramp's values are its (x, y)
    np.testing.assert_allclose(seen[:, ::-1], in_photograph, atol=1e-3)


def test_projection_there_and_back_is_exact():
    homography = tf.constant([[1.1, 0.2, 5.0], [-0.1, 0.9, -3.0], [1e-3, 5e-4, 1.0]])
    where = tf.random.stateless_uniform([50, 2], [1, 2], 0.0, 300.0)
    back = projected(projected(where, homography), tf.linalg.inv(homography))
    np.testing.assert_allclose(back, where, atol=1e-2)


def test_both_views_show_the_same_points():
    parameters = ViewParameters(side_px=96, keypoints=32)
    y, x = np.mgrid[:200, :300].astype(np.float32)
    locations = np.random.default_rng(3).integers(0, 200, (200, 2)).astype(np.float32)
    example = two_views(
        tf.constant(np.stack([x / 300, y / 200, x * 0], axis=2)),
        tf.constant(y + 1000 * x),  # the score map tells where each of its pixels comes from
        tf.constant(locations),
        tf.one_hot(range(200), 200),
        parameters,
        tf.constant([5, 6], tf.int64),
    )
    kept = example["weights"].numpy() > 0
    assert kept.sum() > 3
    origin = locations[example["descriptors"].numpy().argmax(axis=1)][kept]
    for view in range(2):
        at = example["locations"][view].numpy()[kept]
        low = np.floor(at).astype(int)
        scores = example["scores"][view].numpy()
        fy, fx = (at - low).T
        value = (
            scores[low[:, 0], low[:, 1]] * (1 - fy) * (1 - fx)
            + scores[low[:, 0] + 1, low[:, 1]] * fy * (1 - fx)
            + scores[low[:, 0], low[:, 1] + 1] * (1 - fy) * fx
            + scores[low[:, 0] + 1, low[:, 1] + 1] * fy * fx
        )
        np.testing.assert_allclose(value, origin[:, 0] + 1000 * origin[:, 1], rtol=2e-3, atol=300)


def test_examples_depend_on_their_index_only(tmp_path: Path):
    photographs = []
    for index in range(3):
        photographs.append(tmp_path / f"{index}.jpg")
        pixels = tf.cast(texture(96, 128, index) * 255, tf.uint8)
        tf.io.write_file(str(photographs[-1]), tf.io.encode_jpeg(pixels))
    teacher = Teacher(made_up_teacher(tmp_path / "teacher.npz"))
    targets = write_targets(photographs, teacher, tmp_path / "targets")
    mean, components = np.zeros(16, np.float32), np.eye(16, 8, dtype=np.float32)
    whole = list(examples(photographs, targets, mean, components, SMALL, 1).take(5))
    rest = list(examples(photographs, targets, mean, components, SMALL, 1, start=3).take(2))
    for one, other in zip(whole[3:], rest, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert not np.array_equal(whole[0]["images"], whole[3]["images"])


# --- teacher and network ----------------------------------------------------------------------


def test_teacher_descriptors_are_unit_vectors_at_maxima(tmp_path: Path):
    teacher = Teacher(made_up_teacher(tmp_path / "teacher.npz"))
    image = trimmed(texture(70, 100))
    assert image.shape == (64, 96, 3)
    score, locations, descriptors = teacher.keypoints(tf.constant(image), tf.constant(20))
    assert score.shape == (64, 96)
    assert len(locations) <= 20
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=1e-5)
    for y, x in locations.numpy():
        assert score[y, x] == tf.reduce_max(score[y - 2 : y + 3, x - 2 : x + 3])


def test_teacher_may_have_two_head_layers(tmp_path: Path):
    one = Teacher(made_up_teacher(tmp_path / "one.npz"))
    two = Teacher(made_up_teacher(tmp_path / "two.npz", two_head_layers=True))
    image = tf.constant(trimmed(texture(70, 100)))
    for first, second in zip(
        one.keypoints(image, tf.constant(20)), two.keypoints(image, tf.constant(20)), strict=True
    ):
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_local_maxima_ignore_the_border_and_plateaus():
    score = np.zeros((20, 20), np.float32)
    score[1, 10], score[10, 10], score[10, 11], score[14, 5] = 9, 5, 4, 3
    locations, values = local_maxima(tf.constant(score), tf.constant(10), border=4)
    np.testing.assert_array_equal(locations, [[10, 10], [14, 5]])
    np.testing.assert_array_equal(values, [5, 3])
    assert len(local_maxima(tf.ones([20, 20]), tf.constant(10), border=4)[0]) == 0


def test_fitted_components_are_orthonormal_and_ordered():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(500, 3)) * [1, 5, 2] + 7
    mean, components = fit_projection(values, 2)
    np.testing.assert_allclose(mean, 7, atol=1)
    np.testing.assert_allclose(components.T @ components, np.eye(2), atol=1e-5)
    np.testing.assert_array_equal(np.abs(components).argmax(axis=0), [1, 2])


def test_folding_batch_normalisation_changes_nothing():
    tf.keras.utils.set_random_seed(0)
    network = Network(8)
    for convolution in network.convolutions:
        if convolution.normalised:
            convolution.mean.assign(tf.random.normal(convolution.mean.shape, stddev=0.1))
            convolution.variance.assign(tf.random.uniform(convolution.mean.shape, 0.5, 2.0))
            convolution.gain.assign(tf.random.uniform(convolution.mean.shape, 0.5, 2.0))
    image = tf.constant(texture(64, 64)[np.newaxis])
    before = network.score_logits(network.levels(image))
    for convolution in network.convolutions:
        convolution.fold()
    after = network.score_logits(network.levels(image))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-3)
    assert len(network.trainable_variables) == 2 * len(network.convolutions)


def test_training_lowers_the_loss():
    tf.keras.utils.set_random_seed(0)
    trainer = Trainer(Network(8), whole_loss)
    batch = made_up_batch()
    before = float(whole_loss(trainer.network, batch)[1])
    for _ in range(8):
        trainer.train_step(batch, tf.constant(1e-3))
    assert float(whole_loss(trainer.network, batch)[1]) < 0.8 * before
    assert int(trainer.step) == 8


def test_only_the_chosen_weights_learn_and_the_average_follows():
    tf.keras.utils.set_random_seed(0)
    network = Network(8)
    chosen = [network.descriptor_output.bias]
    trainer = Trainer(network, whole_loss, chosen)
    before = [variable.numpy() for variable in network.trainable_variables]
    seen = []
    for _ in range(3):
        trainer.train_step(made_up_batch(), tf.constant(1e-2))
        seen.append(chosen[0].numpy())
    for old, variable in zip(before, network.trainable_variables, strict=True):
        assert np.array_equal(old, variable) == (variable is not chosen[0])
    average = trainer.averages[[v is chosen[0] for v in network.variables].index(True)]
    np.testing.assert_allclose(average, np.mean(seen, axis=0), rtol=1e-5)


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate_at(step, 1000, 1.0) for step in range(1000)]
    assert rates[0] < 0.01 and max(rates) == pytest.approx(1, abs=0.01) and rates[-1] < 0.02


# --- cost ---------------------------------------------------------------------------------------


def test_operations_are_those_of_every_layer_at_every_scale():
    kernel = tf.zeros([3, 3, 3, 5])

    def convolve(image: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(image, kernel, 1, "SAME")

    one = 2 * (3 * 3 * 3 * 5) * (8 * 12)
    assert float_operations(convolve, [1, 8, 12, 3]) == one
    assert pyramid_operations(convolve, 8, 12, (0.5, 1.0, 2.0), 1) == one * (0.25 + 1 + 4)
    assert pyramid_operations(convolve, 7, 11, (1.0,), 4) == one


def test_the_default_pyramid_costs_less_than_an_eighth_of_delf():
    figures = measure(600, 800, features=1000)
    assert (
        figures["image_scales"] == json.loads((MODEL / "landmark.json").read_text())["image_scales"]
    )
    assert figures["ratio"] > 8


# --- a whole run --------------------------------------------------------------------------------


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("training.trainer.CHECKPOINT_STEPS", 4)
    monkeypatch.setattr("training.trainer.LOG_STEPS", 2)
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        pixels = tf.cast(texture(96, 128, index) * 255, tf.uint8)
        tf.io.write_file(str(photos / f"{index}.jpg"), tf.io.encode_jpeg(pixels))
    teacher = made_up_teacher(tmp_path / "alike-x.npz")
    options = f"--photos {photos} --teacher {teacher} --steps 8 --batch 2 --side 64 --keypoints 16"

    def run(out: str) -> Path:
        train(
            parser().parse_args(
                [*options.split(), "--descriptor-size=8", f"--out={tmp_path / out}"]
            )
        )
        return tmp_path / out

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    whole = run("whole")
    with monkeypatch.context() as patch:
        patch.setattr("training.trainer.draw_curve", killed)  # after the first checkpoint
        with pytest.raises(KeyboardInterrupt):
            run("broken")
    broken = run("broken")
    rows = [list(csv.DictReader((folder / "history.csv").open())) for folder in (whole, broken)]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == list("2468")
    for one, other in zip(*rows, strict=True):
        for name in ("learning_rate", "score", "cosine", "contrast"):
            assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-2)
    seconds = [float(row["seconds"]) for row in rows[1]]
    assert seconds == sorted(seconds)
    assert Image.open(broken / "history.png").width == 720

    model = tmp_path / "model-x"
    export(trained(broken), model)
    config = resolve_model(Settings(model=str(model), score_threshold=0))
    assert config.runtime == LITERT
    seen = (texture(96, 128) * 255).astype(np.uint8)
    ours, graphs = (
        load_extractor(replace(config, runtime=runtime)).network(seen, config)
        for runtime in (LITERT, TENSORFLOW)
    )
    assert len(ours.attention) == len(graphs.attention) > 10
    np.testing.assert_allclose(ours.attention, graphs.attention, atol=1e-5)
    figures = tmp_path / "made-up.json"
    scores = {"images": 9, "queries": 3, "map": 0.5, "extract_seconds_per_image": 1.0}
    measured = {"date": "2026-01-02", "commit": "abc"}
    figures.write_text(json.dumps({"model-x-1": scores, "measured": measured}))
    write_card(broken, model, [figures])
    card = (model / "MODEL_CARD.md").read_text()
    assert card.startswith("# model-x\n") and "3 photographs" in card and "ALIKE-x" in card
    assert "| model-x-1 | 0.500 | 1.00 |" in card and "commit abc" in card
    assert (model / "history.csv").read_text() == (broken / "history.csv").read_text()


# --- exported model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extract():
    """Call the bundled model's signature."""
    signature = tf.saved_model.load(str(MODEL)).signatures["default"]

    def call(
        image: np.ndarray,
        count: int = 300,
        scales: tuple[float, ...] = (1.0,),
        threshold: float = 0.0,
    ) -> dict[str, np.ndarray]:
        found = signature(
            image=tf.constant(image),
            score_threshold=tf.constant(threshold, tf.float32),
            image_scales=tf.constant(scales, tf.float32),
            max_feature_num=tf.constant(count),
        )
        return {name: value.numpy() for name, value in found.items()}

    return call


def test_signature_gives_delf_outputs(extract):
    found = extract(texture(203, 150), scales=(0.5, 1.0))
    assert set(found) == {"locations", "descriptors", "feature_scales", "attention"}
    n = len(found["locations"])
    assert 10 < n <= 300
    assert found["locations"].shape == (n, 2)
    assert found["feature_scales"].shape == found["attention"].shape == (n,)
    assert all(value.dtype == np.float32 for value in found.values())
    assert (np.diff(found["attention"]) <= 0).all()
    assert set(found["feature_scales"]) <= {np.float32(2.0), np.float32(1.0)}
    np.testing.assert_allclose(np.linalg.norm(found["descriptors"], axis=1), 1, atol=1e-5)
    assert (found["locations"] > 0).all() and (found["locations"] < [202, 149]).all()


def test_max_feature_num_keeps_the_best(extract):
    image = texture(128, 160)
    many, few = extract(image), extract(image, count=7)
    assert len(few["locations"]) == 7
    # Vector instructions round the last bit otherwise in a longer array.
    np.testing.assert_allclose(few["attention"], many["attention"][:7], rtol=1e-6)


def test_score_threshold_drops_the_rest(extract):
    image = texture(128, 160)
    every = extract(image)["attention"]
    threshold = float(every[9] + every[10]) / 2
    kept = extract(image, threshold=threshold)["attention"]
    np.testing.assert_allclose(kept, every[:10], rtol=1e-6)
    assert len(extract(image, threshold=1.1)["locations"]) == 0


def test_same_image_gives_the_same_bytes(extract):
    image = texture(160, 128)
    one, other = (extract(image, scales=(0.7, 1.0)) for _ in range(2))
    for name in one:
        assert one[name].tobytes() == other[name].tobytes()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (32, 300)])
def test_small_images_are_no_error(extract, size: tuple[int, int]):
    found = extract(texture(*size), scales=(0.25, 0.5, 1.0))
    assert len(found["locations"]) <= 300


@pytest.mark.parametrize("enlarged", [0.75, 1.6, 2.5])
def test_bundled_model_finds_the_same_points_in_another_size(extractor, enlarged: float):
    pixels = (texture(480, 640) * 255).astype(np.uint8)
    size = (round(640 * enlarged), round(480 * enlarged))
    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    one = extractor.extract_pixels(pixels, "as it is")
    other = extractor.extract_pixels(resized, "resized")
    pairs, verification = compare(one, other)
    pairs = pairs[verification.inliers]
    assert len(pairs) >= 100
    moved = (other.locations[pairs[:, 1]] + 0.5) / enlarged - 0.5 - one.locations[pairs[:, 0]]
    # Half a cell of the network's finest layer, at the size where the coarser of two was found.
    coarsest = np.minimum(one.scales[pairs[:, 0]], other.scales[pairs[:, 1]] * enlarged)
    assert np.quantile(np.abs(moved) * coarsest[:, np.newaxis], 0.9) <= STRIDES[0] / 2
    assert np.abs(np.median(moved, axis=0)).max() < 0.5  # no shift of all of them


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_bundled_model_sees_a_turned_file_upright(extractor, orientation: int):
    upright = Image.fromarray((texture(240, 320) * 255).astype(np.uint8))
    turned = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
    exif = Image.Exif()
    exif[0x0112] = orientation
    files = [io.BytesIO(), io.BytesIO()]
    upright.save(files[0], "PNG")
    upright.transpose(turned.get(orientation, Image.Transpose.ROTATE_270)).save(
        files[1], "PNG", exif=exif
    )
    one, other = (extractor.extract(file.getvalue(), "picture") for file in files)
    assert len(one) > 50 and one.to_bytes() == other.to_bytes()


def test_bundled_model_finds_the_same_points_after_a_shift(extract):
    image = texture(256, 288)
    shift = np.array([9, 14])
    one = extract(image[: 256 - 9, : 288 - 14])
    other = extract(image[9:, 14:])
    similarity = one["descriptors"] @ other["descriptors"].T
    nearest = similarity.argmax(axis=1)
    mutual = similarity.argmax(axis=0)[nearest] == np.arange(len(nearest))
    moved = one["locations"][mutual] - other["locations"][nearest[mutual]]
    agreeing = np.abs(moved - shift).max(axis=1) <= 0.75
    assert agreeing.sum() >= 40
    assert agreeing.mean() > 0.7


def test_bundled_model_finds_little_in_an_empty_image(extract):
    for level in (0.0, 0.5, 1.0):
        empty = np.full((200, 240, 3), level, np.float32)
        assert len(extract(empty, threshold=0.1)["locations"]) <= 20


def test_bundled_model_is_small_and_states_its_defaults():
    size = sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file())
    assert size < 10 * 2**20
    assert (MODEL / "landmark.json").exists() and (MODEL / "MODEL_CARD.md").exists()
