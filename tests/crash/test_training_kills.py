"""Training killed without a word, or asked to stop: it goes on from the last checkpoint, bit for bit."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
import torch

from tests.crash.training_runs import INTERRUPTED, PATIENCE_S, Training, descendants, stop
from tests.training.loop.tiny_runs import losses_of, request_for, weights_of

pytestmark = pytest.mark.crash

EVERY = 5
"""Steps between checkpoints of the long runs."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def assert_same(mine: Training, theirs: Training, cache: Path) -> None:
    one, other = (request_for(training.name, training.output, cache) for training in (mine, theirs))
    assert losses_of(one) == losses_of(other) and len(losses_of(one)) == one.resolved().num_steps
    tensors = weights_of(one)
    for name, tensor in weights_of(other).items():
        assert torch.equal(tensors[name], tensor), name


def test_one_process_killed_at_any_step_goes_on_bit_for_bit(tmp_path: Path, cache: Path) -> None:
    undisturbed = Training("long_pose", tmp_path / "undisturbed", cache)
    assert undisturbed.run() == 0

    killed = Training("long_pose", tmp_path / "killed", cache)
    for step in (7, 22, 41):
        process = killed.start(*(["--resume"] if step > 7 else []))
        killed.wait_for(lambda step=step: killed.last_step() >= step, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # What is lost: since the last checkpoint, and while that was on its way, as the very first may still be.
        assert killed.last_step() - [0, *killed.checkpoints()][-1] < 2 * EVERY

    process = killed.start("--resume", "--loader-workers", "1")
    killed.wait_for(lambda: killed.last_step() >= 50, process)
    # To all of its processes, as Slurm and systemd do it.
    for one in (*psutil.Process(process.pid).children(recursive=True), process):
        one.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == INTERRUPTED
    assert killed.checkpoints()[-1] == killed.last_step() < 60
    assert "SIGTERM" in killed.events("stopped")[-1]["reason"]

    assert killed.run("--resume") == 0
    assert_same(killed, undisturbed, cache)


def test_two_torchrun_workers_lose_one_and_go_on_by_themselves(tmp_path: Path, cache: Path) -> None:
    torchrun = ("--launcher", "torchrun", "--workers", "2")
    undisturbed = Training("long_pose", tmp_path / "undisturbed", cache, *torchrun)
    assert undisturbed.run() == 0

    killed = Training("long_pose", tmp_path / "killed", cache, *torchrun)
    process = killed.start()
    try:
        killed.wait_for(lambda: killed.last_step() >= 12, process)
        workers = descendants(process, "training.loop.tiny_runs")
        second = next(worker for worker in workers if worker.environ().get("RANK") == "1")
        second.kill()
        killed.wait_for(lambda: len(killed.events("started")) == 2, process)
        assert killed.events("started")[-1]["step"] in (5, 10)
        killed.wait_for(lambda: killed.last_step() >= 30, process)
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    finally:
        stop(process)
    assert killed.checkpoints()[-1] == killed.last_step() < 60
    assert "another worker is gone" in (said := killed.said.read_text()) and "Traceback" not in said

    last = killed.last_step()
    process = killed.start("--resume")
    try:
        killed.wait_for(lambda: killed.last_step() > last, process)
        below = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        _, alive = psutil.wait_procs(below, PATIENCE_S)
        assert not alive, "workers go on without their launcher"
    finally:
        stop(process)
    assert len(killed.events("stopped")) == 2 and killed.last_step() < 60

    assert killed.run("--resume") == 0
    assert_same(killed, undisturbed, cache)
