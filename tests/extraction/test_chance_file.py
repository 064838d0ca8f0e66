"""What is known of a model's chance inliers, beside the model."""

import shutil
from dataclasses import replace

import pytest

from benchmarks.photographs import GALLERY
from landmark.errors import LandmarkError
from landmark.extraction.models import (
    BUNDLED_MODEL,
    TENSORFLOW,
    ModelConfig,
    read_chance,
    resolve_model,
    write_chance,
)
from landmark.matching.chance import ENOUGH_PAIRS, ChanceHistogram
from landmark.settings import Settings

MODEL = GALLERY.parents[2] / BUNDLED_MODEL
HISTOGRAM = ChanceHistogram((900, 90, 9, 1))


@pytest.fixture
def model(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "saved_model.pb").write_bytes(b"toy")
    return resolve_model(Settings(model=str(tmp_path / "toy")))


def test_the_bundled_model_knows_its_chance():
    """As it is bundled: not a model trained anew with the figures of the one before."""
    model = resolve_model(Settings(model=str(MODEL)))
    histogram = read_chance(model)
    assert histogram.pairs > 10 * ENOUGH_PAIRS
    by_tensorflow = replace(model, runtime=TENSORFLOW)
    assert read_chance(by_tensorflow) == histogram
    before_the_files_changed = ModelConfig.from_record(model.record(), "landmark-v1-0123456789ab")
    assert read_chance(before_the_files_changed).pairs == 0
    chance = histogram.fit()
    assert 5e-4 < chance.probability(12) < 5e-3
    assert 1e-5 < chance.probability(18) < 2e-4


def test_a_model_without_figures_has_none(model):
    assert read_chance(model) == ChanceHistogram()
    assert read_chance(resolve_model(Settings())).pairs == 0  # at an address


def test_the_figures_are_no_part_of_the_model(model):
    write_chance(model.directory / "chance.json", model, HISTOGRAM)
    assert read_chance(model) == HISTOGRAM
    again = resolve_model(Settings(model=model.handle))
    assert again.fingerprint == model.fingerprint
    moved = shutil.copytree(model.directory, model.directory.with_name("renamed"))
    assert read_chance(resolve_model(Settings(model=str(moved)))) == HISTOGRAM


@pytest.mark.parametrize("changed", [{"max_features": 500}, {"max_distance": 0.7}])
def test_other_parameters_have_other_figures(model, changed):
    write_chance(model.directory / "chance.json", model, HISTOGRAM)
    assert read_chance(replace(model, **changed)).pairs == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"features": 1}', "null"])
def test_a_file_that_cannot_be_used_is_named(model, content):
    (model.directory / "chance.json").write_text(content)
    with pytest.raises(LandmarkError, match=r"chance\.json: .*; correct or remove that file"):
        read_chance(model)
