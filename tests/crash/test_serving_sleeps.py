"""A model without work gives its place up, and comes back for whoever asks: by request, and by job."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.crash.serving_runs import MODEL, PERSON, POSE, Service
from tests.crash.training_runs import descendants

pytestmark = [pytest.mark.crash, pytest.mark.long]
SCALING = {"min_replicas": 0, "max_replicas": 1, "down_after_s": 0.0, "zero_after_s": 0.0, "up_after_s": 0.0}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, scaling=SCALING)
    service.start()
    yield service
    service.kill_all()


def test_a_model_goes_to_zero_and_answers_from_there(service: Service) -> None:
    def told() -> dict[str, Any]:
        (model,) = service.client.get("/v1/models").json()["models"]
        return model

    def replicas() -> list[int]:
        assert service.process is not None
        return [one.pid for one in descendants(service.process, f"ServeReplica:default:{MODEL}")]

    service.until(lambda: told()["state"] == "asleep" and not replicas())
    asleep = told()
    assert not replicas(), "who looks at the list wakes nobody"

    made: list[httpx.Response] = []

    def ask() -> None:
        data = {"pose": POSE, "seed": "7", "output_format": "png"}
        made.append(service.client.post("/v1/pose-transfer", files={"person": PERSON}, data=data))

    caller = threading.Thread(target=ask)
    caller.start()
    job = service.add(8)
    caller.join()
    assert made[0].status_code == 200, made[0].text
    assert service.ended([job])[0].state == "succeeded"
    answer = made[0].json()
    assert (asleep["fingerprint"], asleep["digests"]) == (answer["fingerprint"], answer["digests"])
    service.until(lambda: told()["state"] == "asleep" and not replicas())
