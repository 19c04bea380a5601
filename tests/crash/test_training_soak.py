"""Four workers on two machines for a long time: one machine loses its power or its cable, again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path

import psutil
import pytest

from tests.crash.hosts import Hosts, switched_hosts
from tests.crash.training_runs import ROOT, Training, assert_same_samples, stop
from tests.training.loop.tiny_runs import request_for

pytestmark = pytest.mark.soak

MINUTES = float(os.environ.get("SOAK_MINUTES", "40"))
RAY = str(Path(sys.executable).with_name("ray"))
HEAD, SECOND = "10.77.0.1", "10.77.0.2"
SOON = {
    # A machine that says nothing is dead after seconds, not after minutes; without the keepalives Ray waits for ever.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "3000",
    "RAY_grpc_client_keepalive_timeout_ms": "3000",
    "RAY_grpc_keepalive_time_ms": "3000",
    "RAY_grpc_keepalive_timeout_ms": "3000",
}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    try:
        with switched_hosts(tmp_path / "hosts", {"head": HEAD, "second": SECOND}) as hosts:
            yield hosts
    except PermissionError as error:
        pytest.skip(f"needs the right to make network namespaces: {error}")


def ray_start(*arguments: str) -> list[str]:
    common = ["--block", "--num-cpus=2", "--object-store-memory=150000000", "--disable-usage-stats"]
    return [RAY, "start", *arguments, *common]


def answers(hosts: Hosts, head: subprocess.Popen[bytes], environment: Mapping[str, str]) -> bool:
    """Whether the head takes drivers."""
    if not psutil.Process(head.pid).children():
        return False  # its machine is still being set up
    asked = hosts.beside(head, [RAY, "status"])
    return subprocess.run(asked, env=os.environ | dict(environment), capture_output=True, check=False).returncode == 0


def test_two_machines_for_a_long_time(hosts: Hosts, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.touch()
    environment = SOON | {
        "RAY_AUTH_MODE": "disabled",
        # No name here resolves to a host's address; gloo would offer the others 127.0.0.1.
        "GLOO_SOCKET_IFNAME": "eth0",
        "TINY_SLOW": str(slow),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "RAY_ADDRESS": f"{HEAD}:6379",
    }
    head = hosts.start(
        "head",
        ray_start("--head", f"--node-ip-address={HEAD}", "--port=6379", "--include-dashboard=false"),
        environment,
    )

    def plug_in() -> subprocess.Popen[bytes]:
        return hosts.start("second", ray_start(f"--address={HEAD}:6379", f"--node-ip-address={SECOND}"), environment)

    run = Training("soaked_layout", tmp_path / "output", tmp_path / "cache")
    drive = ["-m", "tests.crash.drive_training", str(run.output), str(tmp_path / "cache"), "2:4", "soaked_layout"]
    second, driver, number = plug_in(), None, 1
    try:
        run.wait_for(lambda: answers(hosts, head, environment), head)
        with run.said.open("ab") as said:
            driver = subprocess.Popen(
                hosts.beside(head, [sys.executable, *drive]),
                cwd=ROOT,
                env=os.environ | environment,
                stdout=said,
                stderr=said,
            )
        run.wait_for(lambda: run.events("started"), driver)
        until = time.monotonic() + MINUTES * 60
        for fault in cycle(["power", "cable"]):
            # With all four in the end: a start may still have met a machine that was coming or going.
            run.wait_for(lambda: run.events("started")[-1]["num_workers"] == 4, driver)
            resumed = run.events("started")[-1]["first_step"]
            run.wait_for(lambda at=resumed: run.last_step() >= at + 30, driver)
            if time.monotonic() > until:
                break
            number = len(run.events("started"))
            if fault == "power":
                hosts.power_off(second)
            else:
                hosts.link("second", "down")
            run.wait_for(lambda at=number: len(run.events("started")) > at, driver)
            assert run.events("started")[-1]["num_workers"] == 2
            assert run.last_step() >= run.checkpoints()[-1]
            hosts.link("second", "up")
            if fault == "cable":
                hosts.power_off(second)
            second = plug_in()
        # Entering another process namespace takes a process in between.
        [training] = psutil.Process(driver.pid).children()
        training.send_signal(signal.SIGTERM)
        driver.wait(240)
        assert run.checkpoints()[-1] == run.last_step()
        slow.unlink()
        num_steps = min(300, run.last_step())
        assert_same_samples(run, request_for("soaked_layout", tmp_path / "alone", tmp_path / "cache"), num_steps)
    finally:
        for process in (driver, second, head):
            if process is not None:
                stop(process)
