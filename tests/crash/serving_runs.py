"""A service in processes of its own that may be killed, and what its job store says afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import torch
from sqlalchemy import text

from atelier import poses
from atelier.models.pidm import Pidm, pidm_closet
from serving.database import Database
from serving.jobs.job import Job
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.models.asked import Ask
from serving.models.family import ModelFamily
from serving.models.samples import drawn_person
from serving.settings import ServeSettings
from tests.crash.training_runs import PATIENCE_S, ROOT, descendants, stop

Found = TypeVar("Found")
MODEL = "pidm_closet"
PERSON = drawn_person(1, (128, 96))
POSE = poses.names()[0]

REPLICA, INGRESS = f"ServeReplica:default:{MODEL}", "ServeReplica:default:Ingress"
PROXY, CONTROLLER = "ProxyActor", "ServeController"

_ENDS = "new.state in ('succeeded', 'failed', 'cancelled')"
_COUNTED = {
    "sqlite": [
        "create table endings (job_id text)",
        "create trigger counted after update of state on jobs "
        f"when {_ENDS} begin insert into endings values (new.id); end",
    ],
    "postgresql": [
        "create table endings (job_id text)",
        "create function counted() returns trigger language plpgsql as "
        "$$ begin insert into endings values (new.id); return null; end $$",
        f"create trigger counted after update of state on jobs for each row when ({_ENDS}) execute function counted()",
    ],
}


class Service:
    """`python -m serving run` with a model of twenty steps, some seconds a picture, again and again on one database.

    Args:
        database, store: in place of a file and a folder below `root`. environment: of its processes, beside this one's.
        more: settings of the model.
    """

    def __init__(
        self,
        root: Path,
        *,
        database: str | None = None,
        store: str | None = None,
        environment: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        self._root, self._told, self._environment = root, root / "serve.json", dict(environment or {})
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
        told |= {name: given for name, given in (("database", database), ("store", store)) if given is not None}
        # A job whose ingress is gone is taken up soon; the ingress has two with the model at a time.
        told |= {"models": [model], "jobs": {"lease_s": 3.0, "at_once": 2, "max_attempts": 6}}
        told |= {"limits": {"timeout_s": PATIENCE_S}}  # for a busy machine
        self.settings = ServeSettings.model_validate(told)
        self._told.write_text(json.dumps(told))
        self.jobs, self.progress = SqlJobs(told["database"]), SqlProgress(told["database"])
        self._database = Database(told["database"])
        with self._database.one() as connection:
            for statement in _COUNTED[connection.dialect.name]:
                connection.execute(text(statement))
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
        environment |= self._environment
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
        return self.until(lambda: self.try_to_add(seed, self.client))

    def try_to_add(self, seed: int, client: httpx.Client) -> str:
        """A job's id, or nothing where it is not accepted now; asked again, it is the same job."""
        data = {"task": "pose_transfer", "pose": POSE, "seed": str(seed)}
        headers = {"Idempotency-Key": f"order-{seed}"}
        try:
            answer = client.post("/v1/jobs", files={"person": PERSON}, data=data, headers=headers)
        except httpx.TransportError:
            return ""
        return answer.json()["id"] if answer.status_code in (200, 202) else ""

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
        with self._database.one() as connection:
            return sorted(row[0] for row in connection.execute(text("select job_id from endings")))

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


def undisturbed(service: Service, *seeds: int) -> list[bytes]:
    """The pictures of seeds, made in this process."""
    family = ModelFamily(service.settings.models[0])
    inputs = {"person": PERSON, "pose": poses.read(poses.address(POSE), "pose")}
    answer = asyncio.run(family.make(Ask(inputs=inputs, seeds=seeds)))
    return [sample.picture for sample in answer.samples]


def _write_weights(root: Path) -> str:
    torch.manual_seed(0)
    config = replace(pidm_closet(), patch=1, width=16, multipliers=(1, 2), texture_strides=(), num_groups=4)
    Pidm(config).save_pretrained(root / "weights")
    return str(root / "weights")
