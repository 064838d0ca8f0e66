"""Models that workers hold: the features are the same, and a worker that dies costs none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from dask.distributed import Client, LocalCluster
from PIL import Image

import models
from landmark.cluster import warm_models as warm
from landmark.cluster.client import open_client
from landmark.cluster.warm_models import WAITED_FOR, WarmNetwork, carriers_of, warm_models
from landmark.cluster.workers import MODEL_RESOURCE
from landmark.errors import LandmarkError, UnusableImage
from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import resolve_model
from landmark.settings import Settings

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@contextmanager
def cluster(workers: int, **resources: int) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        resources=resources,
    ) as found:
        yield found


@pytest.fixture(scope="module")
def carriers() -> Iterator[str]:
    with cluster(2, **{MODEL_RESOURCE: 1}) as found:
        yield found.scheduler_address


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return resolved(models.save_hub_model(tmp_path_factory.mktemp("models") / "toy-v1"))


@pytest.fixture(scope="module")
def picture() -> bytes:
    buffer = BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (80, 120, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def resolved(path: Path):
    return resolve_model(Settings(model=str(path)))


def is_warm(extractor: Extractor) -> bool:
    return isinstance(extractor.network, WarmNetwork)


def test_features_are_those_of_a_model_loaded_here(carriers, model, picture):
    with warm_models(Settings(dask=carriers), WAITED_FOR) as load:
        extractor = load(model)
        assert is_warm(extractor)
        found = [extractor.extract(picture, "picture") for _ in range(3)]
    here = load_extractor(model).extract(picture, "picture")
    assert len(here) and {one.to_bytes() for one in found} == {here.to_bytes()}


def test_a_task_has_one_client_however_often_it_wants_a_model(carriers, model):
    with open_client(carriers) as client:
        with warm_models(Settings(dask=carriers), WAITED_FOR, client) as load:
            assert load(model).network is load(model).network
        assert client.status == "running"  # it is the task's own


def test_tensorflow_starts_on_a_worker_alone(carriers, model, tmp_path):
    program = (
        "import sys; from landmark.cluster.warm_models import warm_models\n"
        "from landmark.extraction.models import resolve_model\n"
        "from landmark.settings import Settings\n"
        "import numpy as np\n"
        "if __name__ == '__main__':\n"
        "    with warm_models(Settings(dask=sys.argv[1]), 1) as load:\n"
        "        extractor = load(resolve_model(Settings(model=sys.argv[2])))\n"
        "        extractor.extract_pixels(np.full((64, 64, 3), 200, np.uint8), 'white')\n"
        "    print('tensorflow' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, carriers, model.handle],
        env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "False\n"


def test_without_a_worker_that_carries_models_it_is_loaded_here(model, picture, bundled_model):
    with (
        cluster(1) as plain,
        warm_models(Settings(dask=plain.scheduler_address), WAITED_FOR) as load,
    ):
        assert not is_warm(load(model))
    with warm_models(Settings(dask="local"), WAITED_FOR) as load:
        assert not is_warm(load(model))


def test_without_a_scheduler_it_is_loaded_here(model, monkeypatch, caplog):
    monkeypatch.setattr("landmark.cluster.client.CONNECT_TIMEOUT_S", 0.1)
    with warm_models(Settings(dask="tcp://127.0.0.1:1"), WAITED_FOR) as load:
        assert not is_warm(load(model))
    assert "no Dask scheduler answers there" in caplog.text


def test_what_starts_at_once_is_loaded_here(carriers, bundled_model):
    with warm_models(Settings(dask=carriers), WAITED_FOR) as load:
        assert not is_warm(load(bundled_model))


def test_a_worker_that_dies_in_the_middle_changes_nothing(carriers, model, picture):
    expected = load_extractor(model).extract(picture, "picture").to_bytes()
    found = []
    with warm_models(Settings(dask=carriers), WAITED_FOR) as load, Client(carriers) as client:
        extractor = load(model)
        extractor.extract(picture, "picture")
        workers = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
        for worker in workers:  # whichever gets the work has begun and not ended it
            worker.suspend()
        thread = threading.Thread(
            target=lambda: found.append(extractor.extract(picture, "picture").to_bytes())
        )
        thread.start()
        while not any("_run_network" in str(keys) for keys in client.processing().values()):
            assert thread.is_alive()
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        thread.join(120)
    assert found == [expected]


def test_when_nobody_carries_it_any_more_the_task_is_to_try_again(model, picture, monkeypatch):
    monkeypatch.setattr(warm, "LOOK_AFTER_S", 0.1)
    monkeypatch.setattr(warm, "CONNECT_TIMEOUT_S", 0.1)
    with (
        cluster(1, **{MODEL_RESOURCE: 1}) as found,
        warm_models(Settings(dask=found.scheduler_address), WAITED_FOR) as load,
    ):
        extractor = load(model)
        extractor.extract(picture, "picture")
        found.scale(0)
        with Client(found.scheduler_address) as client:
            while carriers_of(client):
                pass
        with pytest.raises(ConnectionError, match="no worker with the resource landmark_model"):
            extractor.extract(picture, "picture")


@pytest.mark.parametrize("always", [False, True])
def test_a_picture_that_the_model_refuses_is_told_from_a_broken_model(carriers, tmp_path, always):
    model = resolved(models.save_fragile_model(tmp_path / "fragile", always=always))
    with warm_models(Settings(dask=carriers), WAITED_FOR) as load:
        extractor = load(model)
        with pytest.raises(Exception, match="no white, please") as raised:
            extractor.extract_pixels(np.full((80, 120, 3), 255, np.uint8), "white.png")
    assert isinstance(raised.value, UnusableImage) is not always


def test_a_model_of_other_files_than_the_workers_is_refused(carriers, tmp_path):
    path = models.save_hub_model(tmp_path / "toy-v1")
    model = resolved(path)
    assert model.fingerprint
    models.save_hub_model(path, bias=1.0)
    with warm_models(Settings(dask=carriers), WAITED_FOR) as load:
        extractor = load(model)
        with pytest.raises(LandmarkError, match="put the same files on every machine"):
            extractor.extract_pixels(np.zeros((80, 120, 3), np.uint8), "picture")


def test_workers_with_another_tensorflow_are_refused(carriers, model, monkeypatch):
    monkeypatch.setattr(warm, "_versions", lambda: {"tensorflow": "1.0", "tensorflow-hub": "1.0"})
    theirs = {"127.0.0.1": {"tensorflow": "2.0", "tensorflow-hub": None}}
    monkeypatch.setattr(Client, "run", lambda *_, **__: theirs)
    differ = r"tensorflow 2.0 instead of 1.0, .*\(missing\)"
    with Client(carriers) as client, pytest.raises(LandmarkError, match=differ):
        warm._check_versions(client, [], carriers)
