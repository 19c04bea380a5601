"""How far a running job has come, and the store that says so to whoever looks on, in whichever process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from serving.models.asked import Progress


@dataclass(frozen=True, kw_only=True)
class Partial:
    """What is coming of one of a job's pictures.

    Args:
        sample: its number in the job.
        step: of the job's progress that it came with. picture: a small JPEG file.
    """

    sample: int
    step: int
    picture: bytes


class ProgressStore(Protocol):
    """Keeps the newest progress of each running job; each call is safe from any thread and process.

    It is forgotten the moment that the job leaves the state `running`, its partial pictures too.
    """

    def put(self, job_id: str, worker: str, progress: Progress) -> None:
        """Takes in what the worker who holds a job was told; nothing where another holds it. With the first of it the
        job has started.
        """
        ...

    def void(self, job_id: str, worker: str) -> None:
        """Forgets what was put in of a job that the worker holds: it waits again."""
        ...

    def get(self, job_id: str) -> Progress | None:
        """How far a job has come, without partial pictures; None before its batch begins and once it has ended."""
        ...

    def partials(self, job_id: str) -> Sequence[Partial]:
        """The newest partial pictures of a job, by sample."""
        ...
