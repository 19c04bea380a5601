"""A run on Ray through all that a cluster does to it: notice, lost node, killed worker, room for more, and the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray.cluster_utils import Cluster

from tests.crash.training_runs import PATIENCE_S, ROOT, Training, assert_same_samples, stop
from tests.training.loop.tiny_runs import request_for

pytestmark = [pytest.mark.crash, pytest.mark.early]

EVERY = 20
"""Steps between checkpoints of the slow run."""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    flag = tmp_path / "slow"
    monkeypatch.setenv("TINY_SLOW", str(flag))
    flag.touch()
    return flag


@pytest.fixture
def cluster(slow: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name, value in {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
        "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",
        # Ray counts a lost node's room for some seconds more, and waits so long for it.
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "45",
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


class OnRay(Training):
    """The slow run by a driver on the test's cluster, with one worker or two."""

    def __init__(self, root: Path, cache: Path) -> None:
        super().__init__("slow_layout", root / "output", cache)
        self._command = [
            sys.executable,
            "-m",
            "tests.crash.drive_training",
            str(self.output),
            str(cache),
            "1:2",
            self.name,
        ]

    def started(self, number: int, driver: subprocess.Popen[bytes], num_workers: int) -> int:
        """Waits for the run to have begun so many times, the last time with so many workers; gives where."""
        self.wait_for(lambda: len(self.events("started")) >= number, driver)
        facts = self.events("started")[number - 1]
        assert facts["num_workers"] == num_workers
        self.wait_for(lambda: self.last_step() >= facts["first_step"] + 5, driver)
        return facts["first_step"]


def test_a_run_lives_through_what_a_cluster_does_to_it(cluster: Cluster, slow: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run = OnRay(tmp_path, cache)
    cluster.add_node(num_cpus=1)
    leaving = cluster.add_node(num_cpus=1)
    driver = run.start()
    try:
        assert run.started(1, driver, num_workers=2) == 0

        # Notice: a checkpoint at once, between two that were due, and the node goes.
        # Ray's watcher is there some seconds after the workers; one that it would put on a leaving node sees nothing.
        run.wait_for(lambda: processes(slow, "PreemptionWatcher"), driver)
        drain(leaving.node_id, seconds=40)  # on a busy machine a look at the notice takes long
        run.wait_for(lambda: run.events("noticed"), driver)
        (noticed,) = run.events("noticed")
        noticed_at = noticed["step"]
        assert leaving.node_id[:8] in noticed["reason"]
        run.wait_for(lambda: any(kept["step"] == noticed_at for kept in run.events("kept")), driver)
        run.wait_for(lambda: run.last_step() >= noticed_at + 3, driver)
        reached = run.last_step()
        cluster.remove_node(leaving, allow_graceful=False)

        # On with one worker, by itself.
        first = run.started(2, driver, num_workers=1)
        assert noticed_at <= first and reached - first <= 2 * EVERY + 60

        # A worker dies without notice.
        reached = run.last_step()
        processes(slow, "RayTrainWorker")[0].kill()
        first = run.started(3, driver, num_workers=1)
        assert reached - first < 2 * EVERY + 5

        # Room for two again.
        cluster.add_node(num_cpus=1)
        first = run.started(4, driver, num_workers=2)

        # Asked to stop: kept at the very step.
        driver.send_signal(signal.SIGTERM)
        assert driver.wait(PATIENCE_S) == 130
        assert run.checkpoints()[-1] == run.last_step()

        slow.unlink()
        assert run.run() == 0
    finally:
        stop(driver)

    assert run.last_step() == 300
    assert_same_samples(run, request_for("slow_layout", tmp_path / "undisturbed", cache), 300)


def drain(node_id: str, *, seconds: int) -> None:
    """What a cloud's notice becomes: this node will be gone in so many seconds."""
    command = [str(Path(sys.executable).with_name("ray")), "drain-node", "--address", os.environ["RAY_ADDRESS"]]
    command += ["--node-id", node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
    subprocess.run([*command, "--deadline-remaining-seconds", str(seconds)], check=True, timeout=60)


def processes(slow: Path, actor: str) -> list[psutil.Process]:
    """Those of this test's actors of a class."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "environ"])
        if actor in " ".join(process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("TINY_SLOW") == str(slow)
    ]
