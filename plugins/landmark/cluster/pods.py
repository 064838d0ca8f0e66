"""Dask workers as pods of Kubernetes, made for one task by dask-kubernetes' operator.

The operator makes scheduler and workers from a `DaskCluster`, and Kubernetes deletes them with it.
The `DaskCluster` is deleted

- at the end of the `with` block, also for an exception, Ctrl-C or SIGTERM;
- by Kubernetes with the pod that the task ran in, if that was in the same namespace;
- by the operator once the scheduler has had nothing to do for `idleTimeout`: what is left when
  the task is killed outright.

See docs/kubernetes.md for what Kubernetes must have.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import httpx
import kr8s
from dask.distributed import Client
from dask_kubernetes.operator import KubeCluster, make_cluster_spec
from dask_kubernetes.operator.kubecluster.kubecluster import CreateMode
from kr8s.objects import Pod

from landmark.errors import LandmarkError
from landmark.settings import Settings

logger = logging.getLogger(__name__)

# A cluster that starts has as little to do as one that was left; it must outlive its start.
IDLE_AFTER_START_S = 60

# The user of the Dockerfile. Kubernetes wants the number to see that it is not root.
USER_ID = 50000

# kr8s raises a ValueError where it finds no credentials.
UNREACHABLE = (httpx.HTTPError, kr8s.APITimeoutError, kr8s.ConnectionClosedError, ValueError)

LABELS = {"app.kubernetes.io/name": "landmark", "app.kubernetes.io/managed-by": "landmark"}


@contextmanager
def open_pods(settings: Settings) -> Iterator[Client]:
    """A client of a cluster made for it, with at least one worker; both go at the end.

    Raises
    ------
    LandmarkError
        If Kubernetes refuses, or no worker runs in time; with the reason that Kubernetes gives.
    """
    with _terminated_by_exception():
        with _refusals_in_one_line():
            owner = _own_pod(settings)
        name = f"landmark-{uuid.uuid4().hex[:10]}"
        cluster = PodCluster(settings, cluster_spec(name, settings, owner))
        try:
            with _refusals_in_one_line():
                cluster.begin()
            with Client(cluster) as client:
                try:
                    client.wait_for_workers(1, timeout=settings.dask_start_timeout_s)
                except (TimeoutError, asyncio.TimeoutError):
                    raise LandmarkError(cluster.why_nothing_runs("no worker")) from None
                yield client
        finally:
            try:
                cluster.close()
            except (kr8s.ServerError, *UNREACHABLE) as error:
                # The search's result, or its failure, matters more.
                logger.warning("DaskCluster %s is left to the operator: %s", name, _line(error))


def cluster_spec(name: str, settings: Settings, owner: dict[str, str] | None) -> dict[str, Any]:
    """The `DaskCluster` of one task.

    The workers take how to reach Postgres from a Secret: nothing here, and nothing that Dask
    carries, has the password.

    Parameters
    ----------
    owner : dict, optional
        The owner reference to the pod that the cluster shall not outlive.

    Raises
    ------
    LandmarkError
        If no image is set.
    """
    if settings.dask_image is None:
        raise LandmarkError(
            "LANDMARK_DASK=kubernetes: no image for the workers; build it from the Dockerfile, "
            "push it to your registry and set LANDMARK_DASK_IMAGE to its name"
        )
    amounts = {"cpu": settings.dask_worker_cpu, "memory": settings.dask_worker_memory}
    spec: dict[str, Any] = make_cluster_spec(
        name,
        image=settings.dask_image,
        n_workers=settings.dask_min_workers,
        resources={"requests": amounts, "limits": amounts},
        env={"DASK_TEMPORARY_DIRECTORY": "/tmp"},  # noqa: S108  # of the pod, whose only user is it
        # The rest of the memory is for the nanny.
        worker_command=["dask", "worker", "--nthreads=1", "--memory-limit=0.9"],
        idle_timeout=settings.dask_start_timeout_s + IDLE_AFTER_START_S,
    )
    spec["metadata"]["labels"] = LABELS
    if owner is not None:
        spec["metadata"]["ownerReferences"] = [owner]
    scheduler, worker = (spec["spec"][part]["spec"] for part in ("scheduler", "worker"))
    # The template's `dask-scheduler` is a program that Dask no longer has.
    scheduler["containers"][0]["args"] = ["dask", "scheduler", "--host", "0.0.0.0"]  # noqa: S104
    worker["containers"][0]["envFrom"] = [{"secretRef": {"name": settings.dask_secret}}]
    for pod in (scheduler, worker):
        pod["automountServiceAccountToken"] = False
        pod["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        pod["containers"][0]["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
    return spec


class PodCluster(KubeCluster):
    """A `KubeCluster` whose start ends in time, and whose close does not wait.

    Parameters
    ----------
    settings : Settings
    spec : dict
        Of `cluster_spec`.
    """

    #: Its workers reach Postgres by their own environment.
    has_postgres_secret = True

    def __init__(self, settings: Settings, spec: dict[str, Any]) -> None:
        self._settings = settings
        self._beginning: asyncio.Task[None] | None = None
        super().__init__(
            custom_cluster_spec=spec,
            namespace=settings.dask_namespace,
            create_mode=CreateMode.CREATE_ONLY,
            shutdown_on_close=True,
            resource_timeout=settings.dask_start_timeout_s,
            quiet=True,
        )

    async def _start(self) -> None:
        """Nothing yet: what begins in the constructor could not be closed until it returns."""

    def begin(self) -> None:
        """Make the cluster and have it scaled; returns when the scheduler answers.

        Raises
        ------
        LandmarkError
            If it does not in time.
        """
        try:
            self.sync(self._begin)
        except (TimeoutError, asyncio.TimeoutError):
            raise LandmarkError(self.why_nothing_runs("no scheduler")) from None

    async def _begin(self) -> None:
        self._beginning = asyncio.ensure_future(super()._start())
        await asyncio.wait_for(self._beginning, self._settings.dask_start_timeout_s)
        await self._adapt(self._settings.dask_min_workers, self._settings.dask_max_workers)

    async def _close(self, timeout: float = 0) -> None:
        if self._beginning is not None:
            self._beginning.cancel()
        # Kubernetes deletes the pods in its own time; a killed task has only seconds.
        with suppress(TimeoutError, asyncio.TimeoutError):
            await super()._close(timeout=0)

    def why_nothing_runs(self, what: str) -> str:
        """One line that tells what the cluster's pods wait for."""
        reasons: list[str] = self.sync(self._reasons)
        reason = "; ".join(reasons) or "no pod was made: does the operator run?"
        return (
            f"LANDMARK_DASK=kubernetes: {what} after {self._settings.dask_start_timeout_s} s "
            f"in the namespace {self.namespace}: {reason} (docs/kubernetes.md)"
        )

    async def _reasons(self) -> list[str]:
        reasons = set()
        async for pod in kr8s.asyncio.get(
            "pods",
            namespace=self.namespace,
            label_selector=f"dask.org/cluster-name={self.name}",
        ):
            status = pod.raw.get("status", {})
            part = pod.labels.get("dask.org/component", "pod")
            for condition in status.get("conditions", []):
                if condition["type"] == "PodScheduled" and condition["status"] == "False":
                    reasons.add(f"{part}: {condition.get('message') or condition.get('reason')}")
            for container in status.get("containerStatuses", []):
                if waiting := container.get("state", {}).get("waiting"):
                    words = (waiting.get("reason"), waiting.get("message"))
                    reasons.add(f"{part}: {' '.join(word for word in words if word)}")
        return sorted(" ".join(reason.split()) for reason in reasons)


def _own_pod(settings: Settings) -> dict[str, str] | None:
    """The owner reference to the pod that this process runs in, if it is in the namespace."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return None
    try:
        pod = Pod.get(socket.gethostname(), namespace=settings.dask_namespace)
    except kr8s.NotFoundError:
        return None
    return {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.metadata.uid}


@contextmanager
def _refusals_in_one_line() -> Iterator[None]:
    try:
        yield
    except kr8s.ServerError as error:
        code = error.response.status_code if error.response is not None else None
        remedy = {
            401: "log in again, or renew the service account's token",
            403: "give this account the Role of docs/kubernetes.md",
            404: "install dask-kubernetes' operator, which brings the resource DaskCluster",
        }.get(code or 0, "see docs/kubernetes.md")
        raise LandmarkError(f"LANDMARK_DASK=kubernetes: {_line(error)}; {remedy}") from None
    except UNREACHABLE as error:
        raise LandmarkError(
            f"LANDMARK_DASK=kubernetes: the API server cannot be reached ({_line(error)}); "
            f"check KUBECONFIG, or run the task inside the cluster"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _terminated_by_exception() -> Iterator[None]:
    """Have SIGTERM raise `SystemExit`, so that what is open gets closed.

    Python would end at once; Airflow's own handler does not end the task, which is killed then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum: int, frame: FrameType | None) -> None:
        signal.signal(signum, signal.SIG_IGN)  # what is being closed shall not be disturbed
        raise SystemExit(128 + signum)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
