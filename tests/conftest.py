"""Real servers for every test that needs one, started once a session."""

from __future__ import annotations

import io
import itertools
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from PIL import Image, ImageDraw
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from xdist.scheduler import LoadScopeScheduling

from landmark.cluster.client import open_client
from landmark.extraction.extractor import Extractor, load_extractor
from landmark.extraction.models import BUNDLED_MODEL, ModelConfig, resolve_model
from landmark.features import LocalFeatures
from landmark.settings import Settings
from landmark.storage.database import SQL, Database
from stack.servers import start_postgres, start_s3

# The whole stack, for the tests that need Airflow's processes; and Airflow without them.
pytest_plugins = [
    "stack_fixture",
    "pages_fixture",
    "airflow_fixture",
    "site_fixture",
    "browser_fixture",
]


# Airflow's processes are started once, so what needs them stays together; and of two stacks that
# start in the same second both may choose the same ports.
NEED_THE_STACK = {"test_stack", "test_dask", "test_end_to_end", "test_pages", "test_browser"}


class WholeFiles(LoadScopeScheduling):
    """Gives each process whole files, and all that needs the stack to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::")[0])
        return "stack" if file.stem in NEED_THE_STACK else str(file)


def pytest_xdist_make_scheduler(config: Any, log: Any) -> WholeFiles:
    return WholeFiles(config, log)


@pytest.fixture(scope="session", autouse=True)
def _settings_of_nobody() -> Iterator[None]:
    """What the user or the Makefile has set is not what the tests are about."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LANDMARK_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    with start_s3() as server:
        yield server


@pytest.fixture(scope="session")
def s3(s3_server: Any) -> Any:
    return s3_server.client()


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def empty_database(postgres: Any, _numbers: Iterator[int]) -> Database:
    """A database without tables, of this test alone."""
    return Database(postgres.create_database(f"test_{next(_numbers)}"))


@pytest.fixture
def database(empty_database: Database) -> Database:
    """A database with our tables, of this test alone."""
    empty_database.migrate()
    return empty_database


@pytest.fixture(scope="session")
def with_role(postgres: Any) -> Callable[[str, str], str]:
    """Gives a database the roles of roles.sql, and its address for one of them."""
    password = secrets.token_hex(16)

    def address(conninfo: str, role: str) -> str:
        name = conninfo_to_dict(conninfo)["dbname"]
        with psycopg.connect(postgres.url("postgres", name)) as connection:
            connection.execute((SQL / "admin" / "roles.sql").read_bytes())
            connection.execute(
                sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(role), sql.Literal(password)
                )
            )
        return f"postgresql://{role}:{password}@127.0.0.1:{postgres.port}/{name}"

    return address


@pytest.fixture
def prefix(s3: Any, _numbers: Iterator[int]) -> Callable[..., str]:
    """Puts objects (key=content) below a prefix of this test alone, and returns that prefix."""
    name = f"test-{next(_numbers)}/"

    def put(objects: dict[str, bytes] | None = None) -> str:
        for key, body in (objects or {}).items():
            s3.put_object(Bucket="landmark", Key=name + key, Body=body)
        return f"s3://landmark/{name}"

    return put


@pytest.fixture(scope="session")
def dask_client() -> Iterator[Any]:
    with open_client("local") as client:
        yield client


@pytest.fixture(scope="session")
def make_view() -> Callable[..., LocalFeatures]:
    """Features of a view of a made-up place: views of one place match, others do not."""

    def make(place: int, view: int = 0, n: int = 60, d: int = 16) -> LocalFeatures:
        rng = np.random.default_rng(place)
        points, descriptors = rng.uniform(50, 550, (n, 2)), rng.normal(size=(n, d))
        rng = np.random.default_rng([place, view])
        angle, zoom = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.2)
        turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        descriptors = descriptors + rng.normal(0, 0.05, descriptors.shape)
        # A third of each view shows something else: people, trees, clouds.
        descriptors[::3] = rng.normal(size=descriptors[::3].shape)
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        return LocalFeatures(
            locations=((points - 300) @ turn.T + 300).astype(np.float32),
            descriptors=descriptors.astype(np.float16),
            scales=np.ones(n, np.float32),
            attention=np.linspace(2, 1, n, dtype=np.float32),
            width=600,
            height=600,
        )

    return make


@pytest.fixture(scope="session")
def bundled_model() -> ModelConfig:
    return resolve_model(Settings(model=str(BUNDLED_MODEL)))


@pytest.fixture(scope="session")
def extractor(bundled_model: ModelConfig) -> Extractor:
    return load_extractor(bundled_model)


@pytest.fixture(scope="session")
def photograph() -> Callable[..., bytes]:
    """A JPEG of a made-up facade, seen from the left or right by `view`."""

    def draw(place: int, view: int = 0, side: int = 320) -> bytes:
        rng = np.random.default_rng(place)
        image = Image.new("RGB", (side, side), (120, 130, 140))
        pen = ImageDraw.Draw(image)
        for _ in range(150):
            x, y = rng.uniform(0, side, 2)
            w, h = rng.uniform(6, 40, 2)
            colour = tuple(rng.integers(0, 256, 3).tolist())
            shape = pen.rectangle if rng.random() < 0.6 else pen.ellipse
            shape([x, y, x + w, y + h], fill=colour)
        lean = 0.12 * view
        image = image.transform(
            image.size,
            Image.Transform.AFFINE,
            (1, lean, -lean * side / 2, 0, 1 + 0.05 * view, 0),
            Image.Resampling.BICUBIC,
        )
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()

    return draw
