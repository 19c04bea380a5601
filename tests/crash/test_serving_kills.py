"""A service whose processes are killed in the midst of jobs: each that was accepted ends once, with its own picture."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.crash.serving_runs import CONTROLLER, INGRESS, PERSON, POSE, PROXY, REPLICA, Service, undisturbed
from tests.crash.training_runs import INTERRUPTED, PATIENCE_S, descendants

pytestmark = pytest.mark.crash


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    service.start()
    yield service
    service.kill_all()


def test_every_accepted_job_ends_once_whatever_is_killed(service: Service) -> None:
    jobs = [service.add(seed) for seed in range(1, 4)]
    service.running(jobs)
    waiting: list[int] = []

    def wait() -> None:
        # In the replica's queue, behind a job, when that is killed.
        answer = service.client.post("/v1/pose-transfer", files={"person": PERSON}, data={"pose": POSE, "seed": "9"})
        waiting.append(answer.status_code)

    caller = threading.Thread(target=wait)
    caller.start()
    # Of two jobs at a time one stands in that queue already.
    service.until(lambda: service.client.get("/v1/models").json()["models"][0]["waiting"] > 1)
    replica = service.kill(REPLICA)
    caller.join()
    assert waiting == [503], "who waits at the other end of a line is told at once"
    service.until(lambda: service.has_another(REPLICA, replica))

    service.running(jobs)
    ingress, proxy = service.kill(INGRESS), service.kill(PROXY)
    service.until(lambda: service.has_another(INGRESS, ingress) and service.has_another(PROXY, proxy))
    jobs.append(service.add(4))

    service.running(jobs)
    controller = service.kill(CONTROLLER)
    service.until(lambda: service.has_another(CONTROLLER, controller))
    assert {job.state for job in service.ended(jobs)} == {"succeeded"}
    assert service.add(1) == jobs[0], "asked again, it is the same job"

    jobs += [service.add(seed) for seed in (5, 6)]
    running = service.running(jobs)
    service.kill_all()
    assert service.job(running).state == "running"
    service.start()
    ended = service.ended(jobs)
    assert {job.state for job in ended} == {"succeeded"} and len({job.id for job in ended}) == 6
    assert service.endings() == sorted(jobs), "none twice"
    assert {job.attempts for job in ended} >= {1, 2}
    # The first was cut off with its replica, the last with everything.
    cut_off = [jobs[0], running]
    made = undisturbed(service, *(jobs.index(job_id) + 1 for job_id in cut_off))
    assert [service.picture(job_id) for job_id in cut_off] == made


def test_a_service_that_is_told_to_stop_while_it_starts_takes_ray_along(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.begin()
    assert service.process is not None
    try:
        service.until(lambda: descendants(service.process, CONTROLLER))
        [store] = descendants(service.process, "gcs_server")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(PATIENCE_S) == INTERRUPTED, service.said()
        assert not store.is_running()
    finally:
        service.kill_all()
    assert service.said().splitlines()[1:] == ["stopped before it was up"]


@pytest.mark.long
def test_what_has_begun_is_finished_when_the_service_is_told_to_stop(service: Service) -> None:
    jobs = [service.add(seed) for seed in (1, 2, 3)]
    service.running(jobs)
    said: dict[str, httpx.Response] = {}

    def wait(name: str, ask: Callable[[], httpx.Response]) -> threading.Thread:
        thread = threading.Thread(target=lambda: said.update({name: ask()}))
        thread.start()
        return thread

    data = {"pose": POSE, "seed": "9"}
    waiting = [
        wait("made", lambda: service.client.post("/v1/pose-transfer", files={"person": PERSON}, data=data)),
        wait("followed", lambda: service.client.get(f"/v1/jobs/{jobs[1]}/events")),
        wait("left", lambda: service.client.get(f"/v1/jobs/{jobs[2]}/events")),
    ]
    # Behind the job that runs: the other that was taken up, and who waits at the end of a line.
    service.until(lambda: service.client.get("/v1/models").json()["models"][0]["waiting"] > 1)
    assert service.process is not None
    service.process.send_signal(signal.SIGTERM)

    def refused() -> httpx.Response | None:
        try:
            answer = service.client.post("/v1/jobs", files={"person": PERSON}, data=data | {"task": "pose_transfer"})
        except httpx.TransportError:  # on a line that was closed meanwhile; `until` sees where nobody is left
            return None
        return answer if answer.status_code == 503 else None

    answer = service.until(refused)
    assert answer is not None and answer.json()["code"] == "stopping" and int(answer.headers["retry-after"]) >= 1
    for thread in waiting:
        thread.join()
    assert service.process.wait(PATIENCE_S) == 0
    assert said["made"].status_code == 200, said["made"].text
    assert '"state": "succeeded"' in said["followed"].text and '"code":"stopping"' in said["left"].text
    # What was accepted while it had not heard yet stays in the queue, as the third does.
    assert [service.job(one).state for one in jobs] == ["succeeded", "succeeded", "queued"]
