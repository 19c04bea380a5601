"""Addresses of databases: what they say, what is refused, and that no password is told."""

from __future__ import annotations

import json
import os
import ssl
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from atelier.errors import ConfigError
from serving import launch
from serving.__main__ import main
from serving.database import Database
from serving.database_url import PASSWORD, DatabaseUrl, export_password, resolved
from serving.declared import config_of
from serving.settings import ServeSettings

SECRET = "rosebud"
SERVER = f"postgresql://shop:{SECRET}@127.0.0.1:1/jobs"
"""Nobody listens there."""


def test_a_file_is_a_path_or_an_address(tmp_path: Path) -> None:
    whole = tmp_path / "jobs.sqlite"
    assert DatabaseUrl.of("out/jobs.sqlite").file == Path("out/jobs.sqlite")
    assert DatabaseUrl.of(f"sqlite:///{whole}").file == DatabaseUrl.of(whole).file == whole
    assert resolved("out/jobs.sqlite") == str(Path.cwd() / "out/jobs.sqlite") and SECRET not in resolved(SERVER)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (f"mysql://shop:{SECRET}@host/jobs", "begins with 'mysql://'; must be a FILE, sqlite:///FILE or postgresql://"),
        (f"postgresql+psycopg://shop:{SECRET}@host/jobs", "begins with 'postgresql"),
        (f"postgresql://shop:{SECRET}@host:port/jobs", "is no address; must be"),
        ("postgresql://host/jobs", "postgresql://host/jobs; must name a user, a host and a database"),
        (f"postgresql://shop:{SECRET}@host", "must name a user, a host and a database"),
        (f"{SERVER}?sslmode=some", "sslmode is 'some'; must be one of"),
        (f"{SERVER}?sslmode=verify-full&sslrootcert=nowhere.pem", "'nowhere.pem': cannot be read: No such file"),
        (f"{SERVER}?timeout=3", "has no option 'timeout'; there are"),
        ("sqlite://", "names no file"),
    ],
)
def test_another_address_is_refused_in_a_sentence(address: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"^database ") as refused:
        ServeSettings(database=address)
    assert told in str(refused.value)
    assert SECRET not in repr(refused.value)


def test_a_password_comes_from_the_environment_and_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "another")
    bare, told = DatabaseUrl.of("postgresql://shop@host/jobs"), DatabaseUrl.of(SERVER)
    assert (bare.password, told.password) == ("another", SECRET)
    assert str(told) == repr(told) == "postgresql://shop@127.0.0.1:1/jobs"

    settings = ServeSettings(database=SERVER)
    assert SECRET not in repr(settings) and SECRET not in repr(Database(SERVER).__dict__)
    for wrong in ({"models": [{"recipe": "pidm_closet"}] * 2}, {"jobs": {"keep_s": -1}}, {"unknown": 1}):
        with pytest.raises(ValidationError) as refused:
            ServeSettings.model_validate({"database": SERVER, **wrong})
        assert SECRET not in str(refused.value)


def test_ray_is_told_no_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes what a service is started with to a log; its processes have the environment instead."""
    monkeypatch.delenv(PASSWORD, raising=False)
    told = ServeSettings(database=f"{SERVER}?sslmode=require")
    assert (
        config_of(told)["applications"][0]["args"]["database"] == "postgresql://shop@127.0.0.1:1/jobs?sslmode=require"
    )
    assert resolved("postgres://a@b/c") == "postgres://a@b/c"

    file = tmp_path / "serve.json"
    file.write_text(json.dumps({"database": SERVER}))
    assert main(["config", "--settings", str(file)]) == 0
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err and f"set {PASSWORD} on every node" in shown.err

    export_password("jobs.sqlite")
    export_password("postgresql://a@b/c")
    assert PASSWORD not in os.environ
    export_password(SERVER)
    assert DatabaseUrl.of(resolved(SERVER)).password == SECRET


def test_a_server_is_trusted_as_far_as_is_said() -> None:
    def context(mode: str) -> ssl.SSLContext:
        return DatabaseUrl.of(f"{SERVER}?sslmode={mode}").arguments()["ssl_context"]

    assert DatabaseUrl.of(f"{SERVER}?sslmode=disable").arguments() == {"ssl_context": False}
    assert context("require").verify_mode == ssl.CERT_NONE
    assert context("verify-full").verify_mode == ssl.CERT_REQUIRED and context("verify-full").check_hostname


def test_a_service_that_cannot_have_its_database_says_so_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "serve.json"
    told.write_text(json.dumps({"database": SERVER}))
    monkeypatch.setattr(launch, "check_port", lambda _host, _port: None)  # a service may run beside the tests
    assert main(["run", "--anonymous", "--settings", str(told)]) == 1
    away = capsys.readouterr().err
    assert away == (
        "StateUnavailable: postgresql://shop@127.0.0.1:1/jobs: the server cannot be reached: Connection refused\n"
    )

    monkeypatch.setitem(sys.modules, "pg8000", None)  # as where it is not installed
    assert main(["run", "--anonymous", "--settings", str(told)]) == 2
    assert "needs the driver pg8000: pip install 'atelier[postgres]'" in capsys.readouterr().err
