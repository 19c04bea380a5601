"""The count of a whole catalog: each of its units is ok, rejected or failed, and nothing is left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from atelier.errors import LedgerError
from pipelines.census import Census
from pipelines.ledger import Ledger
from pipelines.runs import RunRecord, current_run
from pipelines.standing import OK, STATUSES, Standing
from pipelines.unit_ids import text_ids

NOT_RUN = "not_run"
"""The code of a unit that was planned and has no outcome: its run was killed, stopped, or still goes on."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How the units of the catalog that was planned last have ended: `units = ok + rejected + failed`.

    Args:
        failed: those with the code `not_run` included.
        made: of `ok`, the pictures that the last run made; `kept` are those from before it.
        by_code: rejected and failed units by code.
        by_note: ok units by the code of what a person should know of their pictures.
        run: the record of the last run.
    """

    units: int
    ok: int
    rejected: int
    failed: int
    made: int
    kept: int
    by_code: Mapping[str, int]
    by_note: Mapping[str, int]
    run: RunRecord

    def as_json(self) -> dict[str, Any]:
        """What `report --json` prints; `by_note` where there is something to know."""
        names = ("units", "ok", "rejected", "failed", "made", "kept", "by_code")
        return {name: getattr(self, name) for name in (*names, *(["by_note"] if self.by_note else []))}

    @property
    def not_ok_share(self) -> float:
        """The share of units that ended rejected or failed, to hold against the failure budget."""
        return (self.rejected + self.failed) / self.units if self.units else 0.0


def summarize(output: str) -> Summary:
    """The summary of an output, counted anew from the catalog's census and the ledger.

    An outcome counts under the unit's present plan key only: a picture of inputs that have changed since is not ok, it
    is not run. Memory: 48 bytes a unit.

    Raises:
        LedgerError: nothing was ever run into it, or its tables don't add up to what was planned.
    """
    run = current_run(output)
    census = Census(output, run.run_id)
    ledger = Ledger(output)
    standing = Standing(ledger, run_id=run.run_id)
    at = standing.find(census.units, census.plan_keys)
    found = at[at >= 0]
    status, code = standing.status[found], standing.code[found]
    ended = Counter({STATUSES[number]: count for number, count in _counts(status)})
    codes = Counter({standing.codes[number]: count for number, count in _counts(code[status != OK])})
    not_run = len(at) - len(found)
    ended["failed"] += not_run
    codes[NOT_RUN] += not_run
    made = int(np.count_nonzero(standing.made[found] & (status == OK)))
    planned = run.counts.get("units", len(census))
    if not len(census) == planned == ended["ok"] + ended["rejected"] + ended["failed"]:
        raise LedgerError(
            f"output {output}: run {run.run_id} planned {planned} units, its census lists {len(census)}, and they "
            f"ended as {dict(ended)}; ok, rejected and failed must add up to what was planned"
        )
    return Summary(
        units=len(census),
        ok=ended["ok"],
        rejected=ended["rejected"],
        failed=ended["failed"],
        made=made,
        kept=ended["ok"] - made,
        by_code=dict((+codes).most_common()),
        by_note=dict(_noted(ledger, census).most_common()),
        run=run,
    )


def _noted(ledger: Ledger, census: Census) -> Counter[str]:
    noted: Counter[str] = Counter()
    for units, batch in ledger.latest_units(("plan_key", "status", "notes")):
        here = census.find_planned(units, text_ids(batch.column("plan_key").to_pylist())) >= 0
        statuses, notes = batch.column("status").to_pylist(), batch.column("notes").to_pylist()
        for counts, status, said in zip(here.tolist(), statuses, notes, strict=True):
            if counts and status == "ok":
                noted.update({note.partition(":")[0] for note in said or ()})
    return noted


def _counts(numbers: np.ndarray) -> list[tuple[int, int]]:
    values, counts = np.unique(numbers, return_counts=True)
    return list(zip(values.tolist(), counts.tolist(), strict=True))
