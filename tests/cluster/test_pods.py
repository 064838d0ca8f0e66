"""LANDMARK_DASK=kubernetes, without a cluster: its API is ours, its pods are processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from landmark.search.comparison import Query
from landmark.search.rank import rank_alone
from landmark.storage.images import save_image

pytest.importorskip("dask_kubernetes", reason="needs requirements-kubernetes.txt")

from kubernetes_api import KubernetesApi, kubernetes_api, schemas

from landmark.cluster.client import open_client
from landmark.cluster.pods import cluster_spec
from landmark.errors import LandmarkError
from landmark.settings import Settings, load_settings

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
DOCUMENTATION = PLUGINS.parent / "docs" / "kubernetes.md"
ADDRESS = "127.0.79.1"
SETTINGS = Settings(
    dask="kubernetes", dask_image="registry.example/landmark:1.0.0", dask_start_timeout_s=100
)

# The name server of a cluster knows its services.
RESOLVE = f"""
import socket
look_up = socket.getaddrinfo
def getaddrinfo(host, *rest, **options):
    known = str(host).endswith("-scheduler.landmark")
    return look_up("{ADDRESS}" if known else host, *rest, **options)
socket.getaddrinfo = getaddrinfo
"""
PROGRAM = (
    RESOLVE
    + """
import signal, sys, time
from landmark.cluster.client import open_client
# A shell starts its background jobs, such as these tests, with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    with open_client("kubernetes") as client:
        print(client.submit(sum, [1, 2]).result(), flush=True)
        if sys.argv[1] == "raise":
            raise RuntimeError("the task failed")
        time.sleep(600)
"""
)


@pytest.fixture
def api(tmp_path, monkeypatch, database) -> KubernetesApi:
    parts = conninfo_to_dict(database.conninfo)
    names = {key: key.upper() for key in ("host", "port", "user", "password")}
    secret = {f"PG{name}": str(parts[key]) for key, name in names.items()}
    secret["PGDATABASE"] = str(parts["dbname"])
    with kubernetes_api(tmp_path, ADDRESS, secret, str(PLUGINS)) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
        yield server


@pytest.fixture
def _names(monkeypatch):
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: look_up(
            ADDRESS if str(host).endswith("-scheduler.landmark") else host, *rest, **options
        ),
    )


@pytest.mark.usefixtures("_names")
def test_a_search_on_pods_made_for_it(api, database, make_view, dask_client):
    for number in range(30):
        save_image(database, f"s3://b/{number}", "m", "1", make_view(number % 10, number))
    arguments = ("m", Query("s3://b/query", make_view(3, 99)), 100)
    with open_client("kubernetes", SETTINGS) as client:
        (cluster,) = api.clusters.values()
        result = rank_alone(database, client, *arguments)
    assert result == rank_alone(database, dask_client, *arguments) and len(result.matches) == 3
    # Closed, and the pods with it.
    assert not api.clusters and not api.pods
    posts = [path.rsplit("/", 1)[1] for method, path in api.calls if method == "POST"]
    assert posts == ["daskclusters", "daskautoscalers"]
    # Every process of the cluster has read its log: the password is nowhere but in the Secret.
    text = json.dumps(cluster) + "".join(log.read_text() for log in api.folder.glob("*.log"))
    assert api.secret["PGPASSWORD"] not in text
    assert api.secret["PGHOST"] not in json.dumps(cluster)

    # What was asked of the API is what the documented Role allows.
    (text,) = re.findall("```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    (role,) = [item for item in yaml.safe_load_all(text) if item["kind"] == "Role"]
    allowed = {
        (verb, resource)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    asked = {request for call in api.calls if (request := _request(*call))}
    assert ("create", "daskclusters") in asked and asked <= allowed


def _request(method: str, path: str) -> tuple[str, str] | None:
    """Verb and resource of a call, as roles name them; None for what everybody may."""
    found = re.fullmatch(r".*/namespaces/[^/]+/([^/]+)(/[^/]+)?", path)
    if found is None:
        return None
    verbs = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}
    return verbs.get(method, "get" if found[2] else "list"), found[1]


@pytest.mark.parametrize("end", ["raise", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_pods_go_however_the_task_ends(api, tmp_path, end):
    program = tmp_path / "task.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program), str(end)],
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(PLUGINS),
            "LANDMARK_DASK_IMAGE": "registry.example/landmark:1.0.0",
        },
    ) as task:
        assert task.stdout.readline().strip() == "3"
        (cluster,) = api.clusters.values()
        if end != "raise":
            task.send_signal(end)
        assert task.wait(240) != 0
    if end != signal.SIGKILL:
        assert not api.clusters and not api.pods
    else:
        # What then deletes it is the operator: the scheduler has nothing to do, for so long.
        assert cluster["spec"]["idleTimeout"] == 300 + 60
        assert api.clusters


def test_a_start_that_is_interrupted_leaves_nothing(api, tmp_path):
    api.waiting = ("ImagePullBackOff", "no such image")
    program = tmp_path / "task.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program), "raise"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(PLUGINS), "LANDMARK_DASK_IMAGE": "i"},
    ) as task:
        deadline = time.monotonic() + 120
        while not api.clusters and time.monotonic() < deadline:
            time.sleep(0.1)
        assert api.clusters
        task.send_signal(signal.SIGTERM)
        assert task.wait(60) == 128 + signal.SIGTERM
    assert not api.clusters


@pytest.mark.usefixtures("_names")
def test_what_the_pods_wait_for_is_told_in_one_line(api):
    api.waiting = ("ImagePullBackOff", 'Back-off pulling image\n"registry.example"')
    with (
        pytest.raises(LandmarkError, match="no scheduler after 10 s .*ImagePullBackOff") as refused,
        open_client("kubernetes", SETTINGS.model_copy(update={"dask_start_timeout_s": 10})),
    ):
        pass
    assert "\n" not in str(refused.value)
    assert not api.clusters


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ((403, "daskclusters is forbidden"), "Role"),
        ((404, "the server could not find the requested resource"), "install .*operator"),
    ],
)
def test_a_refusal_names_the_remedy(api, refusal, remedy):
    api.refusal = refusal
    with pytest.raises(LandmarkError, match=remedy), open_client("kubernetes", SETTINGS):
        pass


def test_no_api_server_names_the_remedy(api, tmp_path, monkeypatch):
    config = tmp_path / "nobody"
    config.write_text(
        api.kubeconfig.read_text().replace(f":{api.server_port}", ":1")  # a port nobody has
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(LandmarkError, match="KUBECONFIG"), open_client("kubernetes", SETTINGS):
        pass


def test_no_credentials_name_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(LandmarkError, match="KUBECONFIG"), open_client("kubernetes", SETTINGS):
        pass


def test_the_spec_is_what_the_operator_accepts():
    import jsonschema

    owner = {"apiVersion": "v1", "kind": "Pod", "name": "task", "uid": "1"}
    spec = cluster_spec("landmark-1", SETTINGS, owner)
    jsonschema.validate(spec, schemas()["daskclusters"])
    assert spec["metadata"]["ownerReferences"] == [owner]
    scheduler, worker = (spec["spec"][part]["spec"] for part in ("scheduler", "worker"))
    (container,) = worker["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "landmark-postgres"}}]
    # The scheduler needs no Postgres.
    assert "envFrom" not in scheduler["containers"][0]
    for pod in (scheduler, worker):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "4Gi"}


def test_the_image_must_be_set():
    with pytest.raises(LandmarkError, match="LANDMARK_DASK_IMAGE"):
        cluster_spec("landmark-1", Settings(dask="kubernetes"), None)


def test_the_bounds_of_scaling_fit_each_other(monkeypatch):
    monkeypatch.setenv("LANDMARK_DASK_MIN_WORKERS", "11")
    with pytest.raises(LandmarkError, match="LANDMARK_DASK_MAX_WORKERS.*at least"):
        load_settings()
