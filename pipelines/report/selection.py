"""Which units of a catalog a report shows, and what it says of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
import pyarrow as pa

from atelier.rows import Outcome
from pipelines.census import Census
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.standing import FAILED, OK, STATUSES
from pipelines.unit_ids import text_ids

_COLUMNS = ("plan_key", "status", "code", "made", "seconds", "scores")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How many units a report shows: it is read by a person, and its pictures lie in it.

    Args:
        not_ok: rejected and failed ones, spread over their codes.
        worst: ok ones that stand out in a score.
        total: all; the rest is drawn at random, the same ones each time.
    """

    not_ok: int = 100
    worst: int = 40
    total: int = 200


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Why an outcome is among the worst.

    Args:
        score: the one that it stands out in most.
        place: where it stands there; 1 is the very worst.
        among: how many have that score.
    """

    score: str
    place: int
    among: int


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a report shows.

    Args:
        not_ok, worst, random: outcomes to show, in order.
        ranks: of each of the worst, in their order.
        not_run: (item_id, variant, task) of some units without an outcome.
        seconds: mean seconds a made picture by stage.
        num_timed: made pictures that the mean is over.
    """

    not_ok: tuple[Outcome, ...]
    worst: tuple[Outcome, ...]
    random: tuple[Outcome, ...]
    ranks: tuple[Rank, ...]
    not_run: tuple[tuple[str, int, str], ...]
    seconds: Mapping[str, float]
    num_timed: int

    @property
    def ok(self) -> tuple[Outcome, ...]:
        """The pictures shown."""
        return self.worst + self.random


def select(ledger: Ledger, census: Census, limits: Limits | None = None) -> Selection:
    """Chooses what to show of a census; two passes over the ledger, about 30 bytes a unit in memory."""
    limits = limits or Limits()
    scan = _Scan(census)
    for units, batch in ledger.latest_units(_COLUMNS):
        scan.take(units, batch)
    unit, status, code = scan.columns()
    not_ok = _spread(unit, status, code, limits.not_ok)
    ok = np.flatnonzero(status == OK)
    worst, ranks = _worst({name: score[ok] for name, score in scan.scores().items()}, len(ok), limits.worst)
    worst = ok[worst]
    # A unit's name is a hash, so the lowest names are a draw, and the same one each time.
    others = np.setdiff1d(ok, worst)
    random = others[np.argsort(unit[others])][: max(0, limits.total - len(not_ok) - len(worst))]
    outcomes = _outcomes(ledger, unit[np.concatenate([not_ok, worst, random])])
    without = np.setdiff1d(np.arange(len(census)), scan.places())
    return Selection(
        not_ok=tuple(outcomes[name] for name in unit[not_ok].tolist()),
        worst=tuple(outcomes[name] for name in unit[worst].tolist()),
        random=tuple(outcomes[name] for name in unit[random].tolist()),
        ranks=ranks,
        not_run=tuple(census.names(without[: max(0, limits.not_ok - len(not_ok))])),
        seconds={stage: total / scan.num_timed for stage, total in scan.seconds.items()},
        num_timed=scan.num_timed,
    )


class _Scan:
    def __init__(self, census: Census) -> None:
        self._census = census
        self._codes: dict[str, int] = {}
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._scores: list[dict[str, np.ndarray]] = []
        self.seconds: Counter[str] = Counter()
        self.num_timed = 0

    def take(self, units: np.ndarray, batch: pa.RecordBatch) -> None:
        place = self._census.find_planned(units, text_ids(batch.column("plan_key").to_pylist()))
        here = place >= 0
        status = np.array([STATUSES.index(name) for name in batch.column("status").to_pylist()], np.uint8)
        code = [self._codes.setdefault(name, len(self._codes)) for name in batch.column("code").to_pylist()]
        columns = (place, units, status, np.array(code, np.int32))
        scores = [dict(row) for row in batch.column("scores").to_pylist()]
        names = {name for row in scores for name in row}
        self._scores.append(
            {name: np.array([row.get(name, np.nan) for row in scores], np.float32)[here] for name in names}
        )
        self._parts.append(tuple(column[here] for column in columns))
        timed = here & (status == OK) & np.array(batch.column("made").to_pylist(), bool)
        self.num_timed += int(timed.sum())
        for row in batch.column("seconds").filter(pa.array(timed)).to_pylist():
            self.seconds.update(dict(row))

    def columns(self) -> list[np.ndarray]:
        """Unit, status and code of every outcome that counts."""
        empty = (np.uint64, np.uint8, np.int32)
        return [
            np.concatenate([np.zeros(0, kind), *(part[at] for part in self._parts)])
            for at, kind in enumerate(empty, start=1)
        ]

    def scores(self) -> dict[str, np.ndarray]:
        """Every score by name, of the same outcomes; NaN where one has none."""
        parts = list(zip(self._parts, self._scores, strict=True))
        return {
            name: np.concatenate(
                [scores.get(name, np.full(len(part[0]), np.nan, np.float32)) for part, scores in parts]
            )
            for name in {name for scores in self._scores for name in scores}
        }

    def places(self) -> np.ndarray:
        """Where in the census these outcomes stand."""
        return np.concatenate([np.zeros(0, np.int64), *(part[0] for part in self._parts)])


def _worst(scores: Mapping[str, np.ndarray], count: int, most: int) -> tuple[np.ndarray, tuple[Rank, ...]]:
    """Where the outcomes stand that are furthest up among the worst of any of their scores, and why each is there.

    Scores have different units (a colour distance, a share), so places are compared, not they themselves: first the
    worst of each score, then the second of each. An outcome without a score is none of them.
    """
    names = sorted(scores)
    share, by, place = np.zeros(count), np.zeros(count, np.int64), np.zeros(count, np.int64)
    among = [int(np.isfinite(scores[name]).sum()) for name in names]
    for number, name in enumerate(names):
        there = np.flatnonzero(np.isfinite(scores[name]))
        order = there[np.argsort(-scores[name][there], kind="stable")]
        places = np.arange(1, len(order) + 1)
        left = (len(order) + 1 - places) / max(1, len(order))
        further = left > share[order]
        share[order[further]] = left[further]
        by[order[further]], place[order[further]] = number, places[further]
    worst = np.argsort(-share, kind="stable")[: min(most, int((share > 0).sum()))]
    ranks = (Rank(score=names[by[at]], place=int(place[at]), among=among[by[at]]) for at in worst)
    return worst, tuple(ranks)


def _spread(unit: np.ndarray, status: np.ndarray, code: np.ndarray, count: int) -> np.ndarray:
    """Failed outcomes, then rejected ones; of each code in turn, so that a frequent one hides no rare one."""
    chosen: list[int] = []
    for wanted in (FAILED, STATUSES.index("rejected")):
        rows = np.flatnonzero(status == wanted)
        rows = rows[np.argsort(unit[rows])]
        groups = [rows[code[rows] == one][:count].tolist() for one in np.unique(code[rows])]
        chosen += sorted(_first(chain(*zip_longest(*groups)), count - len(chosen)), key=lambda row: int(code[row]))
    return np.array(chosen, np.int64)


def _first(rows: Iterator[int | None], count: int) -> list[int]:
    return [row for row in rows if row is not None][: max(0, count)]


def _outcomes(ledger: Ledger, units: np.ndarray) -> dict[int, Outcome]:
    found: dict[int, Outcome] = {}
    for names, batch in ledger.latest_units():
        chosen = np.isin(names, units, kind="sort")
        if chosen.any():
            found |= zip(names[chosen].tolist(), from_table(batch.filter(pa.array(chosen))), strict=True)
    return found
