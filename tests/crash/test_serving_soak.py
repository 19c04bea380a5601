"""A service at work for a long time, while all that it stands on is killed, one after the other, again and again."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, cycle, islice
from pathlib import Path

import httpx
import pytest

from infra import postgres, store
from serving.jobs.files import JobFiles
from serving.jobs.sweeping import Sweeper
from tests.crash.serving_runs import CONTROLLER, INGRESS, PERSON, POSE, PROXY, REPLICA, Service, undisturbed
from tests.crash.training_runs import PATIENCE_S, descendants

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not postgres.is_there(), reason="needs a Postgres"),
]

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
AWAY_S = 5.0
"""That a store is away: longer than a lease."""
AT_ONCE = 4
"""Jobs that callers have open."""
TOLD = {"attempts_exhausted", "storage_unavailable"}
"""Failures that a job may end in, where as much is killed around it."""


class Callers:
    """Two who ask without a pause: one for jobs, each with a seed of its own, one who waits for the same picture."""

    def __init__(self, service: Service) -> None:
        self._service, self._is_over = service, threading.Event()
        self.jobs: list[str] = []
        self.answers: Counter[int | str] = Counter()
        self.pictures: set[bytes] = set()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._add_jobs, self._wait)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)  # for ever, where the service is gone

    def _add_jobs(self) -> None:
        with httpx.Client(base_url=self._service.client.base_url, timeout=30) as client:
            for seed in count(1):
                while self._num_open(client) >= AT_ONCE and not self._is_over.wait(0.2):
                    pass
                if self._is_over.is_set():
                    return
                # Asked for once, it may have been accepted without a word: until it is told, whatever ends meanwhile.
                while not (job_id := self._service.try_to_add(seed, client)):
                    time.sleep(0.2)
                self.jobs.append(job_id)

    def _num_open(self, client: httpx.Client) -> int:
        try:
            return client.get("/v1/usage").json()["open_jobs"]
        except (httpx.TransportError, ValueError, KeyError):
            return AT_ONCE

    def _wait(self) -> None:
        data = {"pose": POSE, "seed": "0", "output_format": "png"}
        with httpx.Client(base_url=self._service.client.base_url, timeout=120) as client:
            while not self._is_over.wait(1.0):
                try:
                    accept = {"Accept": "image/png"}
                    answer = client.post("/v1/pose-transfer", files={"person": PERSON}, data=data, headers=accept)
                except httpx.TransportError as error:
                    self.answers[type(error).__name__] += 1
                    continue
                self.answers[answer.status_code] += 1
                if answer.status_code == 200:
                    self.pictures.add(answer.content)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_service_for_a_long_time(stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = stack.enter_context(postgres.PostgresServer())
    files = stack.enter_context(store.StoreServer(tmp_path / "s3"))
    environment, port = files.environment(), files.port
    address = f"s3://{store.BUCKET}/serve"
    service = Service(tmp_path, database=database.new(), store=address, environment=environment)
    stack.callback(service.kill_all)
    service.start()

    def replaced(title: str) -> None:
        killed = service.kill(title)
        service.until(lambda: service.has_another(title, killed))

    def restarted() -> None:
        service.kill_all()
        service.start()

    def without_jobs() -> None:
        database.stop()
        time.sleep(AWAY_S)
        database.start()

    def without_files() -> None:
        nonlocal files
        files.stop()
        time.sleep(AWAY_S)
        files = stack.enter_context(store.StoreServer(tmp_path / "s3", port=port))

    faults: list[Callable[[], None]] = [
        *(lambda title=title: replaced(title) for title in (REPLICA, INGRESS, PROXY, CONTROLLER)),
        without_jobs,
        without_files,
        restarted,
    ]
    callers, began_s, num_faults = Callers(service), time.monotonic(), 0
    try:
        for fault in cycle(faults):
            num_before = len(callers.jobs)
            # In the midst of work, and work that came afterwards is done.
            service.until(lambda at=num_before: len(callers.jobs) > at)
            service.running(callers.jobs[-AT_ONCE:])
            fault()
            num_faults += 1
            num_accepted = len(callers.jobs)
            service.until(lambda at=num_accepted: len(callers.jobs) >= at + 2)
            service.ended(callers.jobs[num_accepted : num_accepted + 2])
            if time.monotonic() - began_s > MINUTES * 60 and num_faults >= len(faults):
                break
    finally:
        callers.stop()
    jobs = service.ended(callers.jobs)

    states = Counter(job.state for job in jobs)
    assert set(states) <= {"succeeded", "failed"}, states
    assert {(job.problem or {}).get("code") for job in jobs if job.state == "failed"} <= TOLD
    assert states["succeeded"] > 0.9 * len(jobs), states
    assert service.endings() == sorted(callers.jobs), "each once"
    assert len({job.id for job in jobs}) == len(jobs), "each has its own"
    assert len(callers.pictures) == 1 and callers.answers[200] > num_faults, callers.answers
    assert set(callers.answers) <= {200, 429, 500, 502, 503, 504, "ConnectError", "ReadError", "RemoteProtocolError"}

    made = [(seed, job.id) for seed, job in enumerate(jobs, 1) if job.state == "succeeded"]
    seen = list(islice(made, 0, None, max(1, len(made) // 5)))
    assert [service.picture(job_id) for _, job_id in seen] == undisturbed(service, *(seed for seed, _ in seen))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kept = JobFiles(address)
    Sweeper(service.jobs, kept, stray_s=0).sweep()
    assert kept.held() == {job_id: False for _, job_id in made}, "pictures of each that has them, and no inputs"
    assert service.process is not None
    assert len(descendants(service.process, "ServeReplica")) == 2, "no replica is left of those that were killed"
