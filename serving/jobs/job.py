"""A job, and the store that keeps its state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from atelier.errors import AtelierError

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job. Times are Unix seconds.

    Args:
        owner: whose it is; nobody else sees it.
        request: what is asked beside the inputs' files, as plain values; inputs: the names of those files.
        started_at_s: when its model first began with it.
        attempts: how often it was taken up.
        result: of a job that succeeded, as plain values. problem: why it failed, as problem+json.
        leased_by: who works on it.
        webhook: an address that is called when it has ended; "" for none. webhook_attempts: calls so far;
            webhook_due_at_s: when the next is due, None where none is; webhook_result: what came of the last.
        keep_s: seconds that it is kept after its end, as the settings said when it was taken in.
    """

    id: str
    owner: str
    task: str
    recipe: str
    request: Mapping[str, Any]
    inputs: tuple[str, ...]
    created_at_s: float
    state: State = "queued"
    started_at_s: float | None = None
    ended_at_s: float | None = None
    attempts: int = 0
    result: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    leased_by: str = ""
    idempotency_key: str = ""
    sha256: str = ""
    webhook: str = ""
    webhook_attempts: int = 0
    webhook_due_at_s: float | None = None
    webhook_result: str = ""
    keep_s: float = 24 * 3600.0

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    def is_over(self, now_s: float) -> bool:
        """Whether it has been kept for long enough, and is not told of any more."""
        return self.expires_at_s is not None and self.expires_at_s < now_s

    @property
    def expires_at_s(self) -> float | None:
        """When it is deleted with its pictures; None where it hasn't ended."""
        return None if self.ended_at_s is None else self.ended_at_s + self.keep_s


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a job ends.

    Args:
        started_at_s: when its model began with it, where that has not been told yet.
    """

    state: State
    started_at_s: float | None = None
    result: Mapping[str, Any] | None = field(default=None)
    problem: Mapping[str, Any] | None = field(default=None)


class TooManyOpen(AtelierError):
    """An owner has as many jobs as may be open at once; `num_open` says how many."""

    def __init__(self, num_open: int) -> None:
        self.num_open = num_open
        super().__init__(f"{num_open} jobs are queued or running")


class JobStore(Protocol):
    """Keeps jobs; each call is one transaction, safe from any thread and process; any may raise `StateUnavailable`.

    Whoever has claimed a job holds it until its lease runs out; only the holder can end it, so that it ends once.
    """

    def add(self, job: Job, *, most_open: int | None = None) -> Job:
        """Keeps a new job; gives the one that the same owner added under the same idempotency key, if there is one.

        Args:
            most_open: jobs that its owner may have queued or running, this one included.

        Raises:
            TooManyOpen: the owner has as many.
        """
        ...

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        ...

    def find(self, owner: str, idempotency_key: str) -> Job | None:
        """The job that an owner added under an idempotency key."""
        ...

    def position(self, job: Job) -> int:
        """How many jobs of its recipe came before one that waits and wait themselves, here or with their model; 0 for
        one that has ended.
        """
        ...

    def num_queued(self, recipe: str) -> int:
        """How many jobs of a recipe wait."""
        ...

    def num_open(self, owner: str) -> int:
        """How many jobs an owner has queued or running."""
        ...

    def seconds_a_job(self, recipe: str) -> float | None:
        """What a recipe's newest jobs that succeeded took, on average, from their start; None where there is none."""
        ...

    def claim(self, worker: str, *, now_s: float, lease_s: float, without: Collection[str] = ()) -> Job | None:
        """The oldest job that nobody holds, now running and held by `worker`; None where there is none.

        Args:
            without: recipes whose jobs are left to others, or for later.
        """
        ...

    def renew(self, job_id: str, worker: str, *, now_s: float, lease_s: float) -> bool:
        """Holds a job longer; False where it is not this worker's to work on any more."""
        ...

    def put_back(self, job_id: str, worker: str) -> None:
        """Gives a job that the worker holds back to the queue, the attempt not counted."""
        ...

    def end(self, job_id: str, worker: str, ending: Ending, *, now_s: float) -> bool:
        """Ends a job that the worker holds; False where it doesn't hold it any more. Its webhook is then due."""
        ...

    def cancel(self, job_id: str, *, now_s: float) -> bool:
        """Cancels a job that hasn't ended; False where it has. Its webhook is then due."""
        ...

    def claim_webhook(self, *, now_s: float, lease_s: float) -> Job | None:
        """The job whose webhook has been due longest, the attempt counted; due again when the lease runs out."""
        ...

    def put_webhook(self, job_id: str, attempt: int, *, result: str, due_at_s: float | None) -> None:
        """Says what came of an attempt, and when the next is due; nothing where another has begun meanwhile."""
        ...

    def states(self, job_ids: Sequence[str]) -> Mapping[str, State]:
        """The states of those of some jobs that are there."""
        ...

    def expired(self, *, now_s: float) -> Sequence[str]:
        """Ids of jobs that ended long enough ago, each for its own `keep_s`."""
        ...

    def delete(self, job_id: str) -> None:
        """Forgets a job."""
        ...
