"""Where `landmark search` takes Airflow's address and login from, and what it says without."""

from __future__ import annotations

import json

import pytest

from landmark.errors import LandmarkError
from landmark.remote.login import find_login


@pytest.fixture
def home(tmp_path):
    def write(told, name="production.json", mode=0o600):
        file = tmp_path / name
        file.write_text(told if isinstance(told, str) else json.dumps(told))
        file.chmod(mode)
        return {"AIRFLOW_HOME": str(tmp_path)}

    return write


NAMED = {"username": "ada", "password": "p"}


def test_the_environment_says_who_asks_and_wins(home):
    environment = home({"api_url": "https://a.example/", **NAMED})
    login = find_login(environment)
    assert (login.url, login.username, login.password) == ("https://a.example", "ada", "p")
    assert find_login({**environment, "AIRFLOW_CLI_TOKEN": "t"}).token == "t"
    two = {"AIRFLOW_CLI_USERNAME": "eve", "AIRFLOW_CLI_PASSWORD": "q"}
    assert find_login({**environment, **two}).username == "eve"
    assert find_login({**environment, **two, "AIRFLOW_CLI_TOKEN": "t"}).username is None


def test_what_airflowctl_has_written_is_read(home):
    home({"api_url": "http://a.example"}, "staging.json", 0o644)
    environment = home({"api_token_staging": "t"}, "debug_creds_staging.json")
    login = find_login({**environment, "AIRFLOW_CLI_ENVIRONMENT": "staging"})
    assert (login.url, login.token) == ("http://a.example", "t")


def test_the_address_is_that_of_the_option_the_environment_or_the_file(home):
    environment = {**home({"api_url": "http://file.example"}), "AIRFLOW_CLI_TOKEN": "t"}
    assert find_login(environment).url == "http://file.example"
    environment["AIRFLOW__API__BASE_URL"] = "http://base.example/air/"
    assert find_login(environment).url == "http://base.example/air"
    assert find_login(environment, "http://said.example").url == "http://said.example"
    assert find_login({**home({}), "AIRFLOW_CLI_TOKEN": "t"}).url == "http://localhost:8080"


def test_a_files_secret_goes_to_no_other_server(home):
    environment = home({"api_url": "http://a.example", **NAMED})
    with pytest.raises(LandmarkError, match="no login for http://b.example; set AIRFLOW_CLI"):
        find_login(environment, "http://b.example")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
@pytest.mark.parametrize("secret", [NAMED, {"api_token": "t"}])
def test_a_secret_that_others_may_read_is_not_taken(home, mode, secret):
    with pytest.raises(LandmarkError, match=r"others may read the secret in it; chmod 600 /"):
        find_login(home(secret, mode=mode))


@pytest.mark.parametrize(
    "told", ["{", "[]", '{"api_url": 5}', "\udc80".encode("latin-1", "replace").decode()]
)
def test_a_damaged_file_is_told_in_one_line(home, told):
    with pytest.raises(LandmarkError, match="production.json: .*write it anew") as error:
        find_login(home(told))
    assert "\n" not in str(error.value)


def test_without_a_login_the_remedy_is_told(home):
    with pytest.raises(LandmarkError, match="production.json, of mode 0600"):
        find_login(home({}))
    with pytest.raises(LandmarkError, match="write http://host:8080"):
        find_login({**home({}), "AIRFLOW_CLI_TOKEN": "t"}, "a.example:8080")


def test_a_secret_is_not_shown(home):
    assert "secret" not in repr(find_login({**home({}), "AIRFLOW_CLI_TOKEN": "secret"}))
