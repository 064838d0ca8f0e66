"""Whether a server is well: ``python -m stack.health URL [COMPONENT]``, for docker-compose.yaml.

With a component (``scheduler``, ``triggerer``, ``dag_processor``, ``metadatabase``) the URL is
Airflow's API, which knows the last heartbeat of each.
"""

from __future__ import annotations

import sys

from stack.net import request


def is_well(url: str, component: str | None = None) -> bool:
    """Whether somebody answers there, and says that this component of Airflow is healthy."""
    try:
        status, answer = request(f"{url}/api/v2/monitor/health" if component else url, timeout_s=10)
    except OSError:
        return False
    if component is None:
        return status < 500
    return isinstance(answer, dict) and answer[component]["status"] == "healthy"


if __name__ == "__main__":
    sys.exit(not is_well(*sys.argv[1:]))
