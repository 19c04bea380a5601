"""A real service: Ray, Serve, HTTP on loopback, keys, jobs, other weights without a restart, metrics.

Behind Serve's own proxy, and, with the long tests, behind HAProxy.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.models.asked import Ask
from serving.models.family import ModelFamily
from serving.settings import ModelSettings
from tests.serving.conftest import write_tiny_pidm
from tests.serving.drive_service import CALLERS, FILES, GAUGE, LATENCY, NAMES, SHARED, STOPPED, replicas

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BEHIND = {"proxy": {}, "haproxy": {"RAY_SERVE_ENABLE_HA_PROXY": "1"}}
"""By who takes requests in: what is set in the environment for it."""


@pytest.fixture(scope="module")
def weights(tiny: Callable[[int], str]) -> tuple[str, str]:
    return tiny(0), tiny(1)


@pytest.fixture(scope="module", params=["proxy", pytest.param("haproxy", marks=pytest.mark.long)])
def found(
    weights: tuple[str, str], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """What the driver saw."""
    folder = tmp_path_factory.mktemp("service")
    told = folder / "serve.json"
    model = {"recipe": "viton_hd_closet", "batch_size": 1, "weights": {"weights": weights[0]}}
    model |= {"replicas": 2, "max_waiting": 16, "num_gpus": 0.25}
    stepping = {"weights": write_tiny_pidm(folder / "pidm", width=16, size=(128, 96)), "mode": "quality"}
    slow = {"recipe": "pidm_closet", "batch_size": 1, "weights": stepping, "num_gpus": 0.5}
    names = {"store": "store", "database": "jobs.sqlite", "keys": "keys.json"}
    fetching = {"schemes": ["http"], "allowed_networks": ["127.0.0.0/8"]}
    settings = {"models": [model, slow], "ingress_replicas": 2, "fetching": fetching}
    settings |= {"limits": {"timeout_s": 600}}  # for a busy machine
    settings |= {name: str(folder / file) for name, file in names.items()}
    told.write_text(json.dumps(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment |= BEHIND[request.param]
    environment["RAY_OVERRIDE_RESOURCES"] = json.dumps({"GPU": 1})  # as Ray counts it: three replicas share one
    command = [sys.executable, "-m", "tests.serving.drive_service", str(told), str(port), weights[1]]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout[done.stdout.index("{") :])


def direct(weights: str) -> bytes:
    """The picture by a call in this process."""
    family = ModelFamily(ModelSettings(recipe="viton_hd_closet", batch_size=1, weights={"weights": weights}))
    answer = asyncio.run(family.make(Ask(inputs=FILES, seeds=(7,))))
    return answer.samples[0].picture


def test_the_picture_is_that_of_a_direct_call(found: dict[str, Any], weights: tuple[str, str]) -> None:
    assert bytes.fromhex(found["first"]) == direct(weights[0])
    assert found["in_haste"] == found["first"] == found["picture"]


def test_other_weights_are_taken_up_without_a_restart(found: dict[str, Any], weights: tuple[str, str]) -> None:
    assert found["second_pids"] == found["first_pids"] and len(found["first_pids"]) == 2
    assert found["said"] == "other weights, without a restart: viton_hd_closet\n"
    assert {bytes.fromhex(picture) for picture in found["second"]} == {direct(weights[1])}
    assert found["first"] not in found["second"]


def test_weights_that_cannot_be_used_change_nothing(found: dict[str, Any]) -> None:
    assert found["third_pids"] == found["first_pids"] and found["third"] == found["first"] and found["refused"]
    assert found["cut_off"].startswith("WeightsError: ") and "is not a safetensors file" in found["cut_off"]


def test_a_service_that_does_not_come_about_is_not_waited_for_for_ever(found: dict[str, Any]) -> None:
    assert found["never"].startswith("service: was not brought about within 2 s; Serve says DEPLOYING")


def test_a_crowd_is_served_by_every_replica_and_ingress_or_told_when_to_come_again(found: dict[str, Any]) -> None:
    statuses = [status for status, _ in found["crowd"]]
    assert len(statuses) == CALLERS and set(statuses) <= {200, 429} and statuses.count(200) >= 16
    assert all(int(after) >= 1 for status, after in found["crowd"] if status == 429)
    for metric in SHARED:
        assert len(replicas(found["metrics"], metric)) == 2, metric


def test_rays_own_door_is_shut(found: dict[str, Any]) -> None:
    assert found["stranger"] == 401


def test_keys_jobs_and_those_who_leave(found: dict[str, Any]) -> None:
    assert found["no_key"] == "key_missing"
    assert '"state": "succeeded"' in found["events"]
    assert found["waiting"] == 0


def test_a_replicas_loop_stops_when_its_job_is_deleted_or_its_caller_leaves(found: dict[str, Any]) -> None:
    assert found["cancelled"] == "cancelled"
    (line,) = [line for line in found["metrics"].splitlines() if line.startswith(f"ray_{STOPPED}{{")]
    assert "pidm_closet" in line and float(line.rpartition(" ")[2]) == 2
    assert "atelier_step_seconds_bucket" in found["metrics"]


def test_prometheus_sees_seconds(found: dict[str, Any]) -> None:
    text = found["metrics"]
    assert 'le="60.0"' in text and "atelier_request_seconds_bucket" in text
    assert 'Model="viton_hd_closet"' in text or 'model="viton_hd_closet"' in text
    assert 'route="/v1/try-on"' in text and 'status="200"' in text and 'status="401"' in text
    assert any('le="30000.0"' in line for line in text.splitlines() if LATENCY in line), "Serve's own fit seconds, too"


def test_a_model_at_rest_tells_that_nothing_waits(found: dict[str, Any]) -> None:
    lines = [line for line in found["metrics"].splitlines() if line.startswith(f"{GAUGE}{{")]
    assert len(lines) == 3 and {float(line.rpartition(" ")[2]) for line in lines} == {0.0}
    assert sum("pidm_closet" in line for line in lines) == 1


def test_prometheus_sees_every_metric_that_is_documented(found: dict[str, Any]) -> None:
    documented = re.findall(r"`(atelier_\w+)", (ROOT / "docs" / "serving.md").read_text())
    assert sorted(documented) == sorted(NAMES)
    assert [name for name in NAMES if f"ray_{name}" not in found["metrics"]] == []
    counted = {line.partition("{")[0]: line for line in found["metrics"].splitlines() if 'result="hit"' in line}
    assert found["again"] == 1 and 'cache="jobs"' in counted["ray_atelier_cache_lookups_total"]
    assert 'state="cancelled"' in found["metrics"] and 'result="not answered"' in found["metrics"]
