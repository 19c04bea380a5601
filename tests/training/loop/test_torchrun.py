"""torchrun, ours and a person's own: it starts lost workers again, and not those that met an error of ours."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.loop.tiny_runs import losses_of, request_for
from training.watch.step_log import FILE_NAME

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PATIENCE_S = 240


def started(command: list[str], said: Path) -> subprocess.Popen[bytes]:
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    with said.open("wb") as out:
        return subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=surroundings, stdout=out, stderr=out)


def arguments(run: str, output: Path, cache: Path) -> list[str]:
    words = ["run", f"tests.training.loop.tiny_runs:{run}", "--output", str(output), "--cache", str(cache)]
    return ["training", *words, "--quiet"]


def events(output: Path, run: str) -> list[str]:
    lines = (output / run / "log" / FILE_NAME).read_text().splitlines()
    return [record["event"] for record in map(json.loads, lines)]


def by_hand(run: str, output: Path, cache: Path) -> tuple[list[int], str]:
    """Two torchruns that a person starts, as on two machines; gives how they ended and what both said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    torchrun = ["torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3"]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", run]
    files = [output.with_name(f"{output.name}-{node}.txt") for node in range(2)]
    nodes = [started([*torchrun, "-m", *arguments(run, output, cache)], file) for file in files]
    try:
        return [node.wait(PATIENCE_S) for node in nodes], "\n".join(file.read_text() for file in files)
    finally:
        for node in nodes:
            node.kill()


@pytest.mark.long
def test_a_loss_that_is_no_number_is_met_once(tmp_path: Path, cache: Path) -> None:
    output, said = tmp_path / "output", tmp_path / "said.txt"
    launcher = ["--launcher", "torchrun", "--workers", "2", "--restarts", "3"]
    process = started([*arguments("diverging", output, cache), *launcher], said)
    assert process.wait(PATIENCE_S) == 1, said.read_text()
    assert events(output, "diverging").count("started") == 1
    assert "DivergedError: diverging: step 2: " in said.read_text()
    assert "Traceback" not in said.read_text()


@pytest.mark.long
def test_a_persons_own_torchrun_on_two_machines(tmp_path: Path, cache: Path) -> None:
    statuses, said = by_hand("diverging", tmp_path / "diverged", cache)
    assert statuses == [1, 1], said
    assert events(tmp_path / "diverged", "diverging").count("started") == 1
    assert said.count("DivergedError: diverging: step 2: ") == 2

    statuses, said = by_hand("pose", tmp_path / "done", cache)
    assert statuses == [0, 0], said
    request = request_for("pose", tmp_path / "done", cache)
    assert len(losses_of(request)) == request.resolved().num_steps
    assert "pose: done: 6 steps done" in said
