"""An index and a finished search on the shared stack, for the tests of the pages."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import psycopg
import pytest
from PIL import Image

from stack.environment import UI_USER, landmark_s3_client

#: A name that would run a script if it were not escaped, and that is longer than any card.
EVIL = "pages/<script>alert(1)</script> & \"q\" 'q' " + "long " * 30 + "{{7*7}}.jpg"
SEVERAL = [
    "s3://landmark/images/pages/1/0.jpg",
    "s3://landmark/images/pages/no <b>such</b>.jpg",
    "s3://landmark/elsewhere/private.jpg",
    "s3://landmark/images/" + EVIL,
    "s3://landmark/images/pages/broken.jpg",
]
UPLOADED_EXIF = b"a secret in the camera's metadata"


@dataclass(frozen=True)
class Pages:
    """The pages of the shared stack, with a search that has run.

    Parameters
    ----------
    stack : Stack
    run_id : str
        Of a search that found views 0 and 2 of place 1 by its view 1.
    failed_id : str
        Of a search for an image that is not there.
    several_id : str
        Of a search for `SEVERAL`, of which the second is not there and the last is no photograph.
    """

    stack: object
    run_id: str
    failed_id: str
    several_id: str

    def client(self, token: str | None = None) -> httpx.Client:
        """A browser's cookie, or nobody's."""
        cookies = {"_token": token} if token else {}
        url = self.stack.session.addresses.ui + "/landmark"
        return httpx.Client(base_url=url, cookies=cookies, timeout=120, trust_env=False)

    def api(self) -> httpx.Client:
        """Airflow's REST API, logged in."""
        url = self.stack.session.addresses.ui + "/api/v2"
        headers = {"Authorization": f"Bearer {self.token()}"}
        return httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False)

    def token(self) -> str:
        """The user's, who may do everything."""
        addresses = self.stack.session.addresses
        login = {"username": UI_USER, "password": addresses.ui_password}
        answer = httpx.post(f"{addresses.ui}/auth/token", json=login, trust_env=False)
        return answer.json()["access_token"]

    def token_of_role(self, role: str) -> str:
        """Of a user who does not exist, but whom Airflow would know by this token."""
        program = (
            "import sys; from airflow.api_fastapi.app import create_auth_manager;"
            "from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser;"
            "user = SimpleAuthManagerUser(username='eve', role=sys.argv[1] or None);"
            "print('token', create_auth_manager().generate_jwt(user))"
        )
        environment = self.stack.session.variables
        done = subprocess.run(
            [sys.executable, "-c", program, role],
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return next(
            line.split()[1] for line in done.stdout.splitlines() if line.startswith("token ")
        )

    def runs(self, dag_id: str = "landmark_search") -> int:
        """How many searches there have been, or sweeps."""
        return self.stack.api.call(f"/api/v2/dags/{dag_id}/dagRuns")["total_entries"]

    def failures(self) -> dict[str, int]:
        """The images that could not be used, and how often they have been tried."""
        with psycopg.connect(self.stack.session.addresses.postgres.dsn) as connection:
            rows = connection.execute("SELECT image_path, attempts FROM landmark_failures")
            return dict(rows.fetchall())

    def call(self, path: str):
        """Ask Airflow about the search."""
        run = quote(self.run_id, safe="")
        return self.stack.api.call(f"/api/v2/dags/landmark_search/dagRuns/{run}{path}")

    @property
    def s3(self):
        return landmark_s3_client(self.stack.session.variables)


@pytest.fixture(scope="session")
def pages(stack, photograph):
    s3 = landmark_s3_client(stack.session.variables)

    def put(key, body):
        s3.put_object(Bucket="landmark", Key=key, Body=body)

    for place in (1, 2):
        for view in range(3):
            put(f"images/pages/{place}/{view}.jpg", photograph(place, view, 480))
    put("images/" + EVIL, with_exif(photograph(1, -1, 480)))
    put("images/pages/broken.jpg", b"no photograph, and nobody's business")
    put("elsewhere/private.jpg", photograph(9))

    api = stack.api
    for dag_id in ("landmark_index", "landmark_search"):
        api.wait_for_dag(dag_id)
    api.wait("landmark_index", api.trigger("landmark_index"), timeout_s=400)
    failed_id = api.trigger(
        "landmark_search", {"image_path": "s3://landmark/images/pages/no <b>such</b>.jpg"}
    )
    run_id = api.trigger(
        "landmark_search", {"image_path": "s3://landmark/images/pages/1/1.jpg", "min_inliers": 12}
    )
    several_id = api.trigger("landmark_search", {"image_path": SEVERAL, "add_to_index": False})
    api.wait("landmark_search", run_id, timeout_s=400)
    api.wait("landmark_search", several_id, timeout_s=400)
    with pytest.raises(Exception, match="failed in extract_query"):
        api.wait("landmark_search", failed_id, timeout_s=400)
    return Pages(stack, run_id, failed_id, several_id)


def with_exif(jpeg: bytes) -> bytes:
    image = Image.open(io.BytesIO(jpeg))
    exif = Image.Exif()
    exif[0x010E] = UPLOADED_EXIF.decode()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif, quality=92)
    return buffer.getvalue()
