"""One trainer a run: a living one is named, a dead one's folder is taken over, and nothing stays behind."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from atelier import storage
from atelier.errors import ConfigError, PreconditionFailed
from tests.training.loop.tiny_runs import request_for
from training.launch import holding as module
from training.launch.holding import HOLDER_NAME, Holder, holding
from training.launch.in_process import train_in_process

HOLDS = """
import sys, time
from training.launch.holding import holding

with holding(sys.argv[1], print):
    print("held", flush=True)
    time.sleep(600)
"""
ALSO_HOLDS = """
import sys
from training.launch.holding import holding

with holding(sys.argv[1], print):
    print("held with the launcher")
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "run")


def unlost(reason: str) -> None:
    raise AssertionError(reason)


def of_another_machine() -> Holder:
    return dataclasses.replace(Holder.here(), machine="elsewhere 1234")


def test_a_second_trainer_is_told_who_trains_there(folder: str) -> None:
    with holding(folder, unlost):
        with pytest.raises(ConfigError, match=rf"{HOLDER_NAME}: process {os.getpid()} of .* trains here; stop it"):
            holding(folder, unlost).__enter__()
        assert storage.exists(storage.join(folder, HOLDER_NAME))
    assert not storage.exists(storage.join(folder, HOLDER_NAME))
    with holding(folder, unlost):
        pass


def test_a_killed_trainers_folder_is_taken_over_at_once(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 1e9)
    with subprocess.Popen([sys.executable, "-c", HOLDS, folder], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {other.pid} of"):
            holding(folder, unlost).__enter__()
        other.send_signal(signal.SIGKILL)
    with holding(folder, unlost):
        pass


def test_a_launchers_workers_hold_with_it(folder: str) -> None:
    with holding(folder, unlost):
        done = subprocess.run([sys.executable, "-c", ALSO_HOLDS, folder], capture_output=True, text=True, check=False)
        assert done.stdout == "held with the launcher\n", done.stderr
        assert storage.exists(storage.join(folder, HOLDER_NAME))


def test_another_machines_trainer_is_listened_for(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = storage.join(folder, HOLDER_NAME)
    other = of_another_machine()
    storage.put(address, other.to_bytes())
    # It says that it lives while the newcomer waits.
    monkeypatch.setattr(time, "sleep", lambda seconds: storage.put(address, other.renewed().to_bytes()))
    with pytest.raises(ConfigError, match=r"of elsewhere, since .* trains here"):
        holding(folder, unlost).__enter__()
    # It goes while the newcomer waits.
    monkeypatch.setattr(time, "sleep", lambda seconds: storage.delete(address))
    with holding(folder, unlost):
        pass
    # It says nothing.
    storage.put(address, other.to_bytes())
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with holding(folder, unlost):
        pass
    assert waited == [module.SILENT_S]


def test_what_is_no_record_holds_until_it_is_silent(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0)
    storage.put(storage.join(folder, HOLDER_NAME), b"[]")
    with holding(folder, unlost):
        pass


def test_who_slept_too_long_hears_that_the_folder_is_anothers(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_EVERY_S", 0.01)
    address = storage.join(folder, HOLDER_NAME)
    heard: list[str] = []
    with holding(folder, heard.append):
        while b'"renewals": 0' in storage.get(address):
            time.sleep(0.01)
        take_over(address)
        for _ in range(1000):
            if heard:
                break
            time.sleep(0.01)
    assert heard == ["the run's folder was taken over"]
    assert b"elsewhere" in storage.get(address), "the other's hold was given back"


def take_over(address: str) -> None:
    """As a newcomer does: over the version that it has seen."""
    while True:
        with suppress(PreconditionFailed):
            storage.put(address, of_another_machine().to_bytes(), if_match=storage.head(address).token)
            return


@pytest.mark.slow
def test_a_store_holds_as_a_disk_does(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_EVERY_S", 0.01)
    with holding(f"{s3}/run", unlost):
        while b'"renewals": 0' in storage.get(f"{s3}/run/{HOLDER_NAME}"):
            time.sleep(0.01)
        with pytest.raises(ConfigError, match=f"process {os.getpid()} of"):
            holding(f"{s3}/run", unlost).__enter__()
    assert not storage.exists(f"{s3}/run/{HOLDER_NAME}")


def test_a_run_holds_its_folder_while_it_trains(tmp_path: Path, cache: Path) -> None:
    request = request_for("pose", tmp_path, cache)
    with (
        holding(request.folder, unlost),
        pytest.raises(ConfigError, match=re.escape(storage.join(request.folder, HOLDER_NAME))),
    ):
        train_in_process(request, "cpu")
    train_in_process(request, "cpu")
    assert not storage.exists(storage.join(request.folder, HOLDER_NAME))
