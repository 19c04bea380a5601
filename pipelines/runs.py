"""What is remembered of each run below `OUTPUT/runs/`: the last record says which catalog a summary speaks of."""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from atelier import storage
from atelier.errors import LedgerError, NotFound
from pipelines.damage import damaged, json_object

_ABANDONED_S = 7 * 24 * 3600.0
_MEND = "run the job again, and what is told is of the newer run"

State = Literal["running", "finished", "stopped"]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: written when its plan is made, and again when it ends.

    Args:
        state: `running` (or killed), `finished`, `stopped` by an error.
        limit: only the first so many items of the catalog were planned.
        counts: `PlanCounts` as plain values.
        recipes: fingerprint, working size and weight digests by recipe.
        facts: what else a report should say: placement, versions, seconds.
    """

    run_id: str
    state: State
    catalog: str
    job: str
    started_at_s: float
    finished_at_s: float | None = None
    limit: int | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    recipes: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def new_run_id() -> str:
    """An id that sorts by time, e.g. `20261120T172003.041Z-3f2a`."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{secrets.token_hex(2)}"


def plan_folder(output: str, run_id: str) -> str:
    """Where a run's plan keeps its tables."""
    return f"{storage.resolve(output)}/plans/{run_id}"


def write_record(output: str, record: RunRecord) -> None:
    """Stores a record, in place of the one of the same run."""
    content = json.dumps(dataclasses.asdict(record), indent=1, ensure_ascii=False).encode()
    storage.put(f"{_folder(output)}/{record.run_id}.json", content, content_type="application/json")


def read_record(output: str, run_id: str) -> RunRecord:
    """The record of one run.

    Raises:
        LedgerError: the output knows no such run, or its record is damaged.
    """
    address = f"{_folder(output)}/{run_id}.json"
    try:
        held = json_object(address, storage.get(address), _MEND)
    except NotFound as error:
        raise LedgerError(f"output {output}: holds no run {run_id!r}") from error
    try:
        return RunRecord(**held)
    except TypeError as error:
        raise damaged(address, f"is no record of a run ({error})", _MEND) from error


class NothingRun(LedgerError):
    """An output into which nothing was ever run: most likely another one was meant."""


def current_run(output: str) -> RunRecord:
    """The newest run's record.

    Raises:
        NothingRun: nothing was ever run into the output.
    """
    names = [storage.name(entry.address) for entry in storage.list(_folder(output), recursive=False)]
    if not names:
        raise NothingRun(f"output {output}: holds no run; `python -m pipelines run` makes one")
    return read_record(output, max(names).removesuffix(".json"))


def discard_plans(output: str, run_id: str) -> None:
    """Deletes the tables of plans before a run's, since only the last one's are read.

    Those of a run that isn't known to have ended stay for a week: it may be going on.
    """
    folder = f"{storage.resolve(output)}/plans"
    ended: dict[str, bool] = {}
    for entry in storage.list(folder):
        planned = entry.address.removeprefix(f"{folder}/").split("/", 1)[0]
        if planned >= run_id:
            continue
        if planned not in ended:
            ended[planned] = _has_ended(output, planned)
        if ended[planned]:
            storage.delete(entry.address)


def _has_ended(output: str, run_id: str) -> bool:
    try:
        record = read_record(output, run_id)
    except LedgerError:  # killed while it planned
        started = datetime.strptime(run_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    else:
        if record.state != "running":
            return True
        started = record.started_at_s
    return time.time() - started > _ABANDONED_S


def _folder(output: str) -> str:
    return f"{storage.resolve(output)}/runs"
