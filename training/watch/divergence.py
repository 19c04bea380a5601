"""When a loss has run away, and which rows were in the batch. Stated as a rule, so that a stop can be argued with."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from atelier.errors import AtelierError
from training.steps.base import StepLoss

FILE_NAME = "divergence.json"
TOTAL, GRADIENT_NORM = "total", "gradient_norm"
_NUM_NAMED = 16


@dataclass(frozen=True, kw_only=True)
class DivergenceRule:
    """A run has diverged where a loss or a gradient norm is no finite number, or where a player's total lies far above
    what it was, `patience` steps on end.

    Far above: by more than `times` the scale of the `window` steps before; that scale is the largest of the median's
    magnitude, the median deviation from it, and `floor`. Steps that lie far above do not enter the window. Until it is
    full, at a run's beginning where losses move by themselves, it takes `early_times` the scale of the steps there are.
    At a run's end, where no step can show any more that it was passing, `end_patience` steps are enough.
    """

    window: int = 200
    times: float = 10.0
    early_times: float = 100.0
    patience: int = 50
    end_patience: int = 10
    floor: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Where it happened: the step (counted from 1), whose loss, which term, and the rows it may come from.

    Args:
        limit: what the value should have stayed below; None where it is no finite number.
        ids: the rows of one worker's batch, or of all workers whose numbers are bad alike.
        totals: the player's totals of the steps before, oldest first.
    """

    step: int
    player: str
    term: str
    value: float
    limit: float | None
    ids: tuple[str, ...]
    totals: tuple[float, ...]

    def __str__(self) -> str:
        named = ", ".join(self.ids[:_NUM_NAMED])
        more = f" and {len(self.ids) - _NUM_NAMED} more" if len(self.ids) > _NUM_NAMED else ""
        what = f"step {self.step}: {self.term} of {self.player} is {self.value:.6g}"
        if self.limit is None:
            return f"{what}, no finite number; rows {named}{more}"
        return f"{what} and has been above {self.limit:.6g} for too many steps; rows of the last {named}{more}"


class DivergedError(AtelierError):
    """The run was stopped; its last checkpoint is from before the loss ran away."""

    def __init__(self, run: str, divergence: Divergence) -> None:
        super().__init__(f"{run}: {divergence}")
        self.run, self.divergence = run, divergence

    def __reduce__(self) -> tuple[type[DivergedError], tuple[str, Divergence]]:
        return type(self), (self.run, self.divergence)  # it crosses from a worker to the driver


def cause_of(met: Sequence[Divergence | None]) -> Divergence | None:
    """What ends a run, of what each worker met: the earliest step, with the rows of the workers at fault.

    Gradients are reduced before their norm is taken, so one worker's bad row makes it no number on all of them: a loss
    goes before it. Where the norm alone is bad, the row may be any worker's, and all are named.
    """
    divergences = [divergence for divergence in met if divergence is not None]
    if not divergences:
        return None
    first = min(divergences, key=_blame)
    alike = [divergence for divergence in divergences if _blame(divergence) == _blame(first)]
    return dataclasses.replace(first, ids=tuple(name for divergence in alike for name in divergence.ids))


def _blame(divergence: Divergence) -> tuple[int, bool, bool]:
    return divergence.step, divergence.term == GRADIENT_NORM, divergence.limit is not None


def record_divergence(folder: Path, divergence: Divergence) -> Path:
    """Writes `divergence.json` into the run's log folder and gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    record = {name: _plain(value) for name, value in dataclasses.asdict(divergence).items()}
    path.write_text(json.dumps({"message": str(divergence), **record}, indent=2) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Numbers of the newest step, and the first divergence among the steps that were read."""

    losses: Mapping[str, Mapping[str, float]]
    gradient_norms: Mapping[str, float]
    divergence: Divergence | None


class _Noted(NamedTuple):
    step: int
    ids: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    """(player, term), as `values` has them."""
    values: Tensor


class DivergenceGuard:
    """Takes every step's losses as they lie on the device and reads them together, now and then.

    A step's loss is a few numbers on the accelerator, and to read one at once would stop it at every step. So a run
    that diverged is stopped up to one reading late, which costs nothing: no checkpoint is written before a reading, nor
    while `is_suspicious`.

    Args:
        totals: the window, player → totals, oldest first; kept up to date in place. Out of a checkpoint, a run that is
            taken up is held against what it was before.
    """

    def __init__(self, rule: DivergenceRule | None = None, totals: dict[str, deque[float]] | None = None) -> None:
        self._rule = rule or DivergenceRule()
        self._pending: list[_Noted] = []
        self._totals: dict[str, deque[float]] = {} if totals is None else totals
        self._num_above: dict[str, int] = {}
        self._newest_above: dict[str, Divergence] = {}

    @property
    def is_suspicious(self) -> bool:
        """Whether a total lay far above what it was in the newest step that was read."""
        return any(self._num_above.values())

    def note(
        self,
        step: int,
        ids: Sequence[str],
        losses: Mapping[str, StepLoss],
        gradient_norms: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Takes a step in; reads nothing from the device.

        Args:
            step: steps done with it. ids: the rows of this worker's batch.
            gradient_norms: by player, before clipping.
        """
        numbers: dict[tuple[str, str], Tensor] = {}
        for player, loss in losses.items():
            numbers |= {(player, term): value for term, value in loss.terms.items()}
            numbers[player, TOTAL] = loss.total
        numbers |= {(player, GRADIENT_NORM): value for player, value in (gradient_norms or {}).items()}
        values = torch.stack([value.detach().float().reshape(()) for value in numbers.values()])
        self._pending.append(_Noted(step, tuple(ids), tuple(numbers), values))

    def judge(self) -> Judged:
        """Reads all steps noted since the last call, in one transfer, and holds them to the rule.

        Raises:
            ValueError: no step was noted.
        """
        if not self._pending:
            raise ValueError("no step was noted since the last judgement; there is nothing to judge")
        read = torch.cat([noted.values for noted in self._pending]).tolist()
        ends = [0]
        for noted in self._pending:
            ends.append(ends[-1] + len(noted.names))
        divergence, newest = None, {}
        for noted, (start, end) in zip(self._pending, pairwise(ends), strict=True):
            newest = dict(zip(noted.names, read[start:end], strict=True))
            divergence = divergence or self._held(noted, newest)
        self._pending.clear()
        losses: dict[str, dict[str, float]] = {}
        norms: dict[str, float] = {}
        for (player, term), value in newest.items():
            if term == GRADIENT_NORM:
                norms[player] = value
            else:
                losses.setdefault(player, {})[term] = value
        return Judged(losses=losses, gradient_norms=norms, divergence=divergence)

    def at_end(self) -> Divergence | None:
        """What a run that ends with the newest step that was read ends by; None where nothing has run away."""
        longest = max(self._num_above, key=lambda player: self._num_above[player], default=None)
        if longest is None or self._num_above[longest] < self._rule.end_patience:
            return None
        return self._newest_above[longest]

    def _held(self, noted: _Noted, values: Mapping[tuple[str, str], float]) -> Divergence | None:
        for (player, term), value in values.items():
            if not math.isfinite(value):
                return self._divergence(noted, player, term, value, None)
        for (player, term), value in values.items():
            if term == TOTAL and (limit := self._broken_limit(player, value)) is not None:
                self._newest_above[player] = self._divergence(noted, player, term, value, limit)
                if self._num_above[player] >= self._rule.patience:
                    return self._newest_above[player]
        return None

    def _broken_limit(self, player: str, total: float) -> float | None:
        """The limit that a total lies above, counted; takes in a total that lies below."""
        rule = self._rule
        window = self._totals.setdefault(player, deque())
        if window:
            median = statistics.median(window)
            deviation = statistics.median(abs(value - median) for value in window)
            times = rule.times if len(window) >= rule.window else rule.early_times
            limit = median + times * max(abs(median), deviation, rule.floor)
            if total > limit:
                self._num_above[player] = self._num_above.get(player, 0) + 1
                return limit
        self._num_above[player] = 0
        window.append(total)
        while len(window) > rule.window:
            window.popleft()
        return None

    def _divergence(self, noted: _Noted, player: str, term: str, value: float, limit: float | None) -> Divergence:
        return Divergence(
            step=noted.step,
            player=player,
            term=term,
            value=value,
            limit=limit,
            ids=noted.ids,
            totals=tuple(self._totals.get(player, ())),
        )


def _plain(value: object) -> object:
    """JSON knows no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
