"""What is remembered of each run below `OUTPUT/runs/`: the last record says which catalog a summary speaks of."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from atelier import storage

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


def last_record(output: str) -> RunRecord | None:
    """The newest run's record, None where there was none."""
    names = sorted(entry.address for entry in storage.list(_folder(output), recursive=False))
    return RunRecord(**json.loads(storage.get(names[-1]))) if names else None


def _folder(output: str) -> str:
    return f"{storage.resolve(output)}/runs"
