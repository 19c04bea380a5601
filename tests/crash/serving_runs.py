"""A service in processes of its own that may be killed, and what its job store says afterwards."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import torch

from atelier import poses
from atelier.models.pidm import Pidm, pidm_closet
from serving.jobs.job import Job
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.models.samples import drawn_person
from serving.settings import ServeSettings
from tests.crash.training_runs import PATIENCE_S, ROOT, descendants, stop

Found = TypeVar("Found")
MODEL = "pidm_closet"
PERSON = drawn_person(1, (128, 96))
POSE = poses.names()[0]

_COUNTED = """
create table endings (job_id text);
create trigger counted after update of state on jobs
when new.state in ('succeeded', 'failed', 'cancelled') begin insert into endings values (new.id); end;
"""


class Service:
    """`python -m serving run` with a model of twenty steps, some seconds a picture, again and again on one database.

    Args:
        more: settings of the model.
    """

    def __init__(self, root: Path, **more: Any) -> None:
        self._root, self._told = root, root / "serve.json"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        model: dict[str, Any] = {
            "recipe": MODEL,
            "batch_size": 1,
            "weights": {"weights": _write_weights(root), "mode": "balanced"},
        }
        model |= more
        names = {"store": "store", "database": "jobs.sqlite", "keys": "keys.json"}
        told: dict[str, Any] = {name: str(root / file) for name, file in names.items()}
        # A job whose ingress is gone is taken up soon; the ingress has two with the model at a time.
        told |= {"models": [model], "jobs": {"lease_s": 3.0, "at_once": 2, "max_attempts": 6}}
        told |= {"limits": {"timeout_s": PATIENCE_S}}  # for a busy machine
        self.settings = ServeSettings.model_validate(told)
        self._told.write_text(json.dumps(told))
        self.jobs, self.progress = SqlJobs(told["database"]), SqlProgress(told["database"])
        with sqlite3.connect(told["database"]) as connection:
            connection.executescript(_COUNTED)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=PATIENCE_S)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        self.begin()
        self.until(self._answers)

    def begin(self) -> None:
        """Starts it, and returns at once."""
        command = [
            *(sys.executable, "-m", "serving", "run", "--anonymous", "--no-dashboard"),
            "--port",
            str(self._port),
        ]
        environment = os.environ | {"RAY_AUTH_TOKEN": secrets.token_hex(32), "OMP_NUM_THREADS": "1"}
        with (self._root / "said.txt").open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--settings", str(self._told)], cwd=ROOT, env=environment, stdout=said, stderr=said
            )

    def kill(self, part_of_title: str) -> int:
        """Kills one of its processes by SIGKILL, and gives its id."""
        assert self.process is not None
        (one,) = descendants(self.process, part_of_title)
        one.kill()
        return one.pid

    def has_another(self, part_of_title: str, than: int) -> bool:
        """Whether another process has taken the place of a killed one."""
        assert self.process is not None
        return any(one.pid != than for one in descendants(self.process, part_of_title))

    def kill_all(self) -> None:
        """Kills every process of it."""
        if self.process is not None:
            stop(self.process)

    def until(self, look: Callable[[], Found]) -> Found:
        """The first true answer, while the service lives."""
        until = time.monotonic() + PATIENCE_S
        while not (found := look()):
            assert self.process is not None and self.process.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)
        return found

    def add(self, seed: int) -> str:
        """A job's id, once it is accepted; asked again until it is, as a caller would."""
        data = {"task": "pose_transfer", "pose": POSE, "seed": str(seed)}
        headers = {"Idempotency-Key": f"order-{seed}"}

        def accepted() -> str:
            try:
                answer = self.client.post("/v1/jobs", files={"person": PERSON}, data=data, headers=headers)
            except httpx.TransportError:
                return ""
            return answer.json()["id"] if answer.status_code in (200, 202) else ""

        return self.until(accepted)

    def job(self, job_id: str) -> Job:
        """As it stands in the store."""
        job = self.jobs.get(job_id)
        assert job is not None
        return job

    def running(self, job_ids: list[str], *, above: int = 2) -> str:
        """A job that is in the midst of its steps."""

        def look() -> str:
            for job_id in job_ids:
                progress = self.progress.get(job_id)
                if progress is not None and progress.step > above:
                    return job_id
            return ""

        return self.until(look)

    def ended(self, job_ids: list[str]) -> list[Job]:
        """All jobs, once each has ended."""
        return self.until(lambda: (jobs := [self.job(one) for one in job_ids]) if self._have_ended(job_ids) else None)

    def endings(self) -> list[str]:
        """A job's id for each time that one came to an end."""
        with sqlite3.connect(self.settings.database) as connection:
            return sorted(row[0] for row in connection.execute("select job_id from endings"))

    def picture(self, job_id: str) -> bytes:
        """What a job made."""
        answer = self.client.get(f"/v1/jobs/{job_id}/pictures/0")
        assert answer.status_code == 200, answer.text
        return answer.content

    def _have_ended(self, job_ids: list[str]) -> bool:
        return all(self.job(one).has_ended for one in job_ids)

    def _answers(self) -> bool:
        try:
            return self.client.get("/v1/models").status_code == 200
        except httpx.TransportError:
            return False

    def said(self) -> str:
        """The end of what it wrote to its console."""
        return (self._root / "said.txt").read_text()[-4000:]


def _write_weights(root: Path) -> str:
    torch.manual_seed(0)
    config = replace(pidm_closet(), patch=1, width=16, multipliers=(1, 2), texture_strides=(), num_groups=4)
    Pidm(config).save_pretrained(root / "weights")
    return str(root / "weights")
