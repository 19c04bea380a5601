"""A job on a cluster that wants a token: the catalog is made by it, or a sentence says why not."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.exits import Exit

ROOT = Path(__file__).parents[2]
TOKEN, ANOTHER = "a" * 32, "b" * 32

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:  # its sockets want short paths
        started = subprocess.Popen(
            [
                Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=6",
                f"--temp-dir={folder}", "--include-dashboard=false", "--disable-usage-stats",
            ],
            env=os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until = time.monotonic() + 120
            while not _answers(port):
                assert started.poll() is None and time.monotonic() < until
                time.sleep(0.2)
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(started.pid, signal.SIGTERM)
            try:
                started.wait(60)
            finally:
                if started.poll() is None:
                    os.killpg(started.pid, signal.SIGKILL)


def test_with_its_token_the_job_runs_there_and_without_a_sentence_says_so(cluster: str, tmp_path: Path) -> None:
    catalog = _ran("atelier", "closet", "catalog", "--items", "2", "--out", str(tmp_path / "closet"), environment={})
    assert catalog.returncode == 0, catalog.stderr
    job = [
        "pipelines",
        "run",
        "closet",
        "--catalog",
        str(tmp_path / "closet/catalog.csv"),
        "--output",
        str(tmp_path / "out"),
    ]

    without = _ran(*job, environment={"RAY_ADDRESS": cluster})
    assert without.returncode == Exit.WRONG_USAGE
    assert "Traceback" not in without.stderr
    assert f"RAY_ADDRESS '{cluster}': the cluster wants a token" in without.stderr

    wrong = _ran(*job, environment={"RAY_ADDRESS": cluster, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": ANOTHER})
    assert wrong.returncode == Exit.WRONG_USAGE
    assert "refuses the token that it was sent" in wrong.stderr
    assert ANOTHER not in wrong.stderr

    made = _ran(*job, environment={"RAY_ADDRESS": cluster, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN})
    assert made.returncode == 0, made.stderr
    assert "2 ok (2 made" in made.stdout


def _answers(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def _ran(module: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
