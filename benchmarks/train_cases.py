"""Training trials that are held against each other: by turns on one machine, or one after the other."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atelier.evaluation.people.resampling import Interval, resampled
from benchmarks.footprint import start, watch
from benchmarks.train_trial import TrainMeasurement, TrainTrial
from benchmarks.turns import Player, by_turns

SKIPPED = 4
STRETCH = 5
"""Steps a turn; the first turn of each trial is not counted."""
_OUT_OF_MEMORY = "torch.OutOfMemoryError"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is run by turns with others.

    Args:
        settings: fields of a `TrainTrial`.
        num_workers: processes; two talk by gloo.
    """

    name: str
    settings: Mapping[str, Any]
    num_workers: int = 1


class TooLarge(Exception):
    """A trial that the device's memory does not hold."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A trial that was run; `others`: share of the machine that everything else took meanwhile."""

    case: Case
    repeat: int
    measured: TrainMeasurement
    others: float

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self.measured.step_s(SKIPPED)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "case": self.case.name,
            "repeat": self.repeat,
            "step_s": self.step_s,
            "started_s": self.measured.started_s,
            "others": self.others,
            "peak_bytes": self.measured.peak_bytes,
            "checkpoint_bytes": self.measured.checkpoint_bytes,
        }


class Bench:
    """Runs cases by turns below a folder; `tell` hears what is about to run."""

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None],
        *,
        steps: int,
        batch_size: int,
        rounds: int,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder, self._tell = folder, tell
        self._steps, self._batch_size, self._rounds = steps, batch_size, rounds
        self._settings = settings or {}
        self._num_trials = 0

    def draw(self) -> None:
        """Draws the pictures, so that no trial does."""
        request = self._trial(system="bare").request()
        request.resolved().data.open(None, request.cache_folder)

    def run(self, *cases: Case) -> list[Result]:
        """All rounds of some cases, but for those that the device's memory does not hold."""
        found, too_large = [], set()
        for repeat in range(self._rounds):
            for case in cases if repeat % 2 == 0 else tuple(reversed(cases)):
                if case.name in too_large:
                    continue
                self._tell(f"{case.name}, round {repeat + 1} of {self._rounds}")
                try:
                    found.append(self._one(case, repeat))
                except TooLarge:
                    too_large.add(case.name)
        return found

    def by_turns(self, *cases: Case) -> list[Result]:
        """All rounds of some cases that run at once and take turns of `STRETCH` steps."""
        found = []
        for repeat in range(self._rounds):
            self._tell(f"{' and '.join(case.name for case in cases)} by turns, round {repeat + 1} of {self._rounds}")
            num_stretches = self._steps // STRETCH
            steps = num_stretches * STRETCH + 1  # the one more ends the last stretch
            players, results = [], []
            for case in cases if repeat % 2 == 0 else reversed(cases):
                command, trial, result = self._made(case, steps=steps, stretch=STRETCH)
                players.append(Player(command, Path(trial.folder), Path(trial.folder) / "said.txt"))
                results.append((case, result))
            footprint = by_turns(players, num_stretches)
            found += [
                Result(case=case, repeat=repeat, measured=_read(result), others=footprint.others)
                for case, result in results
            ]
        return found

    def _trial(self, **settings: Any) -> TrainTrial:
        self._num_trials += 1
        fields = {
            "steps": self._steps,
            "batch_size": self._batch_size,
            "folder": str(self._folder / f"trial-{self._num_trials}"),
            "cache": str(self._folder / "cache"),
            **self._settings,
            **settings,
        }
        return TrainTrial(**fields)

    def _made(self, case: Case, **settings: Any) -> tuple[list[str], TrainTrial, Path]:
        """The command of a trial in a folder of its own, and the file that it will write."""
        trial = self._trial(**case.settings, **settings)
        folder = Path(trial.folder)
        folder.mkdir()
        spec, result = folder / "trial.json", folder / "measured.json"
        spec.write_text(json.dumps(asdict(trial)))
        command = [sys.executable, "-m"]
        if case.num_workers > 1:
            command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(case.num_workers), "-m"]
        return [*command, "benchmarks.train_trial", str(spec), str(result)], trial, result

    def _one(self, case: Case, repeat: int) -> Result:
        command, trial, result = self._made(case)
        said = Path(trial.folder) / "said.txt"
        with said.open("wb") as out:
            process = start(command, out)
            footprint = watch(process)
        if process.returncode:
            words = said.read_text(errors="replace")
            if _OUT_OF_MEMORY in words:
                raise TooLarge(case.name)
            raise RuntimeError(f"{case.name} failed:\n{words[-4000:]}")
        return Result(case=case, repeat=repeat, measured=_read(result), others=footprint.others)


def ratio_by_turns(results: Sequence[Result], *, of: Case, to: Case) -> Interval:
    """Seconds of one case over another's, summed over all turns but the first of each round.

    The interval is over turns, each of which holds both cases.
    """
    seconds = {(result.case.name, result.repeat): result.measured.stretches_s(STRETCH)[1:] for result in results}
    rounds = sorted(repeat for name, repeat in seconds if name == of.name)
    above, below = (np.concatenate([seconds[case.name, repeat] for repeat in rounds]) for case in (of, to))
    return resampled(lambda counts: float(counts @ above / (counts @ below)), len(above)).interval()


def ratios(results: Sequence[Result], *, of: Case, to: Case) -> list[float]:
    """Seconds a step of one case over another's, round by round."""
    by_round = {(result.case.name, result.repeat): result.step_s for result in results}
    rounds = sorted(repeat for name, repeat in by_round if name == of.name and (to.name, repeat) in by_round)
    return [by_round[of.name, repeat] / by_round[to.name, repeat] for repeat in rounds]


def median_step_s(results: Sequence[Result], case: Case) -> float:
    """Seconds a step of a case, the middle of its rounds."""
    return statistics.median(result.step_s for result in results if result.case is case)


def _read(result: Path) -> TrainMeasurement:
    return TrainMeasurement(**json.loads(result.read_text()))
