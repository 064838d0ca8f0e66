"""As much of the Kubernetes API, and of dask-kubernetes' operator, as one cluster needs.

Resources are checked against the operator's own definitions. A `DaskCluster` gets a real scheduler
and, by its autoscaler, real workers, started with the commands and the environment of its spec.
"""

from __future__ import annotations

import copy
import importlib.resources
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import yaml

NAMESPACE = "landmark"
KINDS = {"daskclusters": "daskcluster", "daskautoscalers": "daskautoscaler"}


def schemas() -> dict[str, Any]:
    """The operator's schema of each of its resources."""
    folder = importlib.resources.files("dask_kubernetes") / (
        "operator/deployment/helm/dask-kubernetes-operator/crds"
    )
    found = {}
    for plural, name in KINDS.items():
        (version,) = yaml.safe_load((folder / f"{name}.yaml").read_text())["spec"]["versions"]
        found[plural] = version["schema"]["openAPIV3Schema"]
    return found


class KubernetesApi(ThreadingHTTPServer):
    """The server; listens on 127.0.0.1.

    Parameters
    ----------
    folder : Path
        Where the pods' logs and the kubeconfig go.
    address : str
        Of the loopback interface: the scheduler's, with the ports of its service.
    secret : dict
        What the Secret `landmark-postgres` has.
    python_path : str
        `PYTHONPATH` of the image.
    """

    daemon_threads = True

    def __init__(
        self, folder: Path, address: str, secret: dict[str, str], python_path: str = ""
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.address = folder, address
        self.secret, self.python_path = secret, python_path
        self.schemas = schemas()
        self.lock = threading.RLock()
        self.calls: list[tuple[str, str]] = []
        self.clusters: dict[str, Any] = {}
        self.autoscalers: dict[str, Any] = {}
        self.pods: dict[str, list[subprocess.Popen[bytes]]] = {}
        #: What the API answers to a POST of a cluster instead: a status and a message.
        self.refusal: tuple[int, str] | None = None
        #: Why no container of the cluster starts: a reason and a message.
        self.waiting: tuple[str, str] | None = None
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [
                        {
                            "name": "test",
                            "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE},
                        }
                    ],
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {"server": f"http://127.0.0.1:{self.server_port}"},
                        }
                    ],
                    "users": [{"name": "test", "user": {"token": "t"}}],
                }
            )
        )

    def create(self, plural: str, body: dict[str, Any]) -> tuple[int, Any]:
        if plural == "daskclusters" and self.refusal:
            return self.refusal[0], {"kind": "Status", "message": self.refusal[1]}
        try:
            jsonschema.validate(_without_nulls(body), self.schemas[plural])
        except jsonschema.ValidationError as error:
            return 422, {"kind": "Status", "message": error.message}
        name = body["metadata"]["name"]
        body = copy.deepcopy(body)
        body["metadata"].update(namespace=NAMESPACE, uid="0", resourceVersion="1")
        with self.lock:
            if plural == "daskclusters":
                body["status"] = {"phase": "Running"}
                self.clusters[name] = body
                self.pods[name] = []
                if not self.waiting:
                    self._start_pod(name, "scheduler")
            else:
                self.autoscalers[name] = body
                for _ in range(body["spec"]["minimum"]):
                    self._start_pod(name, "worker")
        return 201, body

    def delete(self, name: str) -> bool:
        with self.lock:
            for process in self.pods.pop(name, []):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            self.autoscalers.pop(name, None)
            return self.clusters.pop(name, None) is not None

    def close(self) -> None:
        for name in list(self.clusters):
            self.delete(name)
        self.shutdown()
        self.server_close()

    def _start_pod(self, name: str, component: str) -> None:
        (container,) = self.clusters[name]["spec"][component]["spec"]["containers"]
        variables = {entry["name"]: entry["value"] for entry in container["env"]}
        for source in container.get("envFrom", []):
            assert source == {"secretRef": {"name": "landmark-postgres"}}
            variables.update(self.secret)
        number = len(self.pods[name])
        variables["DASK_WORKER_NAME"] = f"{name}-default-worker-{number}"
        variables["DASK_SCHEDULER_ADDRESS"] = f"tcp://{self.address}:8786"
        arguments = [
            # A pod has an interface of its own; here it is an address of the loopback.
            re.sub(r"\$\((\w+)\)", lambda match: variables[match[1]], argument)
            .replace("0.0.0.0", self.address)
            .replace("8788", f"{self.address}:0")
            for argument in container["args"]
        ]
        more = (
            [f"--dashboard-address={self.address}:0"]
            if component == "scheduler"
            else [f"--host={self.address}"]
        )
        self.pods[name].append(
            subprocess.Popen(
                [str(Path(sys.executable).with_name(arguments[0])), *arguments[1:], *more],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": self.python_path, **variables},
                cwd=self.folder,
                stdout=(self.folder / f"{name}-{number}.log").open("wb"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )

    def scheduler_pods(self, name: str) -> list[dict[str, Any]]:
        """The scheduler's pod, if the cluster is there."""
        if name not in self.clusters:
            return []
        ready = "False" if self.waiting else "True"
        status: dict[str, Any] = {
            "phase": "Pending" if self.waiting else "Running",
            "conditions": [
                {"type": kind, "status": ready}
                for kind in ("Initialized", "Ready", "ContainersReady")
            ],
        }
        if self.waiting:
            waiting = dict(zip(("reason", "message"), self.waiting, strict=True))
            status["containerStatuses"] = [{"name": "scheduler", "state": {"waiting": waiting}}]
        labels = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
        return [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{name}-scheduler", "namespace": NAMESPACE, "labels": labels},
                "spec": {},
                "status": status,
            }
        ]

    def service(self, name: str) -> dict[str, Any]:
        """The scheduler's service."""
        service = copy.deepcopy(self.clusters[name]["spec"]["scheduler"]["service"])
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{name}-scheduler", "namespace": NAMESPACE},
            "spec": service,
            "status": {},
        }


class _Handler(BaseHTTPRequestHandler):
    server: KubernetesApi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _handle(self) -> None:
        api = self.server
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        api.calls.append((self.command, url.path))
        missing = (404, {"kind": "Status", "message": f"{url.path} not found"})
        parts = url.path.strip("/").split("/")
        if parts == ["version"]:
            return self._answer(200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0"})
        if "namespaces" not in parts or parts[parts.index("namespaces") + 1] != NAMESPACE:
            return self._answer(*missing)
        plural, *name = parts[parts.index("namespaces") + 2 :]
        if self.command == "POST":
            return self._answer(*api.create(plural, body))
        if plural == "pods" and name:
            pods = api.scheduler_pods(name[0].removesuffix("-scheduler"))
            return self._answer(200, pods[0]) if pods else self._answer(*missing)
        if plural == "pods":
            selected = dict(
                pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair
            )
            phase = query.get("fieldSelector", "").removeprefix("status.phase=")
            pods = [
                pod
                for pod in api.scheduler_pods(selected.get("dask.org/cluster-name", ""))
                if selected.items() <= pod["metadata"]["labels"].items()
                and phase in ("", pod["status"]["phase"])
            ]
            return self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": pods})
        if plural in ("services", "daskclusters", "daskautoscalers", "daskworkergroups"):
            wanted = name[0] if name else query.get("fieldSelector", "").split("=")[-1]
            if plural == "services":
                cluster = wanted.removesuffix("-scheduler")
                found = api.service(cluster) if cluster in api.clusters else None
            else:
                stores = {"daskclusters": api.clusters, "daskautoscalers": api.autoscalers}
                found = stores.get(plural, {}).get(wanted)
            if self.command == "DELETE" and found:
                api.delete(wanted)
                return self._answer(200, {"kind": "Status", "status": "Success"})
            if not name and self.command == "GET":
                items = [found] if found else []
                return self._answer(200, {"kind": "List", "apiVersion": "v1", "items": items})
            return self._answer(200, found) if found else self._answer(*missing)
        return self._answer(*missing)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


@contextmanager
def kubernetes_api(
    folder: Path, address: str, secret: dict[str, str], python_path: str = ""
) -> Iterator[KubernetesApi]:
    """Run the server inside the `with` block."""
    server = KubernetesApi(folder, address, secret, python_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.close()
