"""What the containers of docker-compose.yaml start by: ``python -m stack.containers PROGRAM …``.

The secrets of `.env` become connections here, where each form quotes them in its own way: in the
YAML a quotation mark or a backslash would end or change them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from stack.environment import CONN_POSTGRES, CONN_S3
from stack.s3 import CLIENT_CONFIG


def connections(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are made of those secrets that are there."""
    made: dict[str, str] = {}
    if password := secrets.get("LANDMARK_DB_PASSWORD"):
        made[CONN_POSTGRES] = json.dumps(
            {
                "conn_type": "postgres",
                "host": "postgres",
                "port": 5432,
                "schema": "landmark",
                "login": "landmark",
                "password": password,
            }
        )
    if password := secrets.get("AIRFLOW_DB_PASSWORD"):
        address = f"airflow:{quote(password, safe='')}@postgres:5432/airflow"
        made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql+psycopg2://{address}"
    if (login := secrets.get("S3_ACCESS_KEY")) and (password := secrets.get("S3_SECRET_KEY")):
        made[CONN_S3] = json.dumps(
            {
                "conn_type": "aws",
                "login": login,
                "password": password,
                "extra": {
                    "endpoint_url": "http://s3:9000",
                    "region_name": "us-east-1",
                    "config_kwargs": CLIENT_CONFIG,
                },
            }
        )
        pair = f"{login},{password}".replace('"', '""')
        made["RCLONE_AUTH_KEY"] = f'"{pair}"'  # CSV
    return made


def main() -> None:
    """Become the program."""
    environment = {**os.environ, **connections(os.environ)}
    if password := environment.get("AIRFLOW_UI_PASSWORD"):
        file = Path(environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
        file.touch(mode=0o600)
        file.write_text(json.dumps({"admin": password}))
    os.execvpe(sys.argv[1], sys.argv[1:], environment)  # noqa: S606 (compose names the program)


if __name__ == "__main__":
    main()
