"""Where Airflow is and who asks, as Airflow's own client `airflowctl` is told it.

`AIRFLOW_CLI_TOKEN`, and the files of `AIRFLOW_CLI_ENVIRONMENT` in `AIRFLOW_HOME`; besides what that
client takes as options only: a user's name and password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from landmark.errors import LandmarkError

#: As of `airflowctl`.
DEFAULT_URL, DEFAULT_ENVIRONMENT = "http://localhost:8080", "production"
#: What of a file's mode is others' to read.
OTHERS_READ = 0o077
SECRETS = ("api_token", "password")


@dataclass(frozen=True)
class Login:
    """An Airflow, and who asks it.

    Parameters
    ----------
    url : str
        Without a slash at its end.
    token : str or None
        Of its REST API; None if `username` and `password` are to get one.
    username, password : str or None
    """

    url: str
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def find_login(environment: Mapping[str, str], url: str | None = None) -> Login:
    """The login of an environment, else of its file.

    Parameters
    ----------
    environment : mapping
        `os.environ`.
    url : str or None
        What the user has said; wins.

    Raises
    ------
    LandmarkError
        If there is none, a file is damaged, or others may read one that holds a secret.
    """
    name = environment.get("AIRFLOW_CLI_ENVIRONMENT") or DEFAULT_ENVIRONMENT
    home = Path(environment.get("AIRFLOW_HOME") or Path.home() / "airflow")
    file = home / f"{name}.json"
    told = _read(home / f"debug_creds_{name}.json", f"api_token_{name}")
    if f"api_token_{name}" in told:
        told["api_token"] = told.pop(f"api_token_{name}")
    told |= _read(file)
    asked = url or environment.get("AIRFLOW__API__BASE_URL") or told.get("api_url") or DEFAULT_URL
    if not asked.startswith(("http://", "https://")):
        raise LandmarkError(f"{asked}: no address of Airflow; write http://host:8080")
    asked = asked.rstrip("/")
    if token := environment.get("AIRFLOW_CLI_TOKEN"):
        return Login(asked, token)
    username = environment.get("AIRFLOW_CLI_USERNAME")
    password = environment.get("AIRFLOW_CLI_PASSWORD")
    if username and password:
        return Login(asked, None, username, password)
    # What a file holds is for the server that it names, and for no other that somebody types.
    if asked == told.get("api_url", DEFAULT_URL).rstrip("/"):
        if told.get("api_token"):
            return Login(asked, told["api_token"])
        if told.get("username") and told.get("password"):
            return Login(asked, None, told["username"], told["password"])
    raise LandmarkError(
        f"no login for {asked}; set AIRFLOW_CLI_USERNAME and AIRFLOW_CLI_PASSWORD, or "
        f'AIRFLOW_CLI_TOKEN, or write {{"api_url": "{asked}", "username": "…", "password": "…"}} '
        f"to {file}, of mode 0600"
    )


def _read(file: Path, secret: str = "") -> dict[str, str]:
    """What a file says; nothing if there is none."""
    try:
        mode = file.stat().st_mode
        told = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise LandmarkError(f"{file}: cannot be read ({reason}); write it anew") from None
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise LandmarkError(f'{file}: is not of the form {{"api_url": "http://…"}}; write it anew')
    if mode & OTHERS_READ and told.keys() & {*SECRETS, secret}:
        raise LandmarkError(f"{file}: others may read the secret in it; chmod 600 {file}")
    return told
