"""The training loop against a bare one, side by side: `python -m benchmarks.training` (a quarter of an hour).

Both train the small parser on the same pictures, with the same optimizer, precision and weight average. The bare loop
(`benchmarks/bare_training.py`) is what an engineer would write; Atelier's brings the order that survives a restart,
noise by row, the guard against runaway losses, console, log, TensorBoard and checkpoints.

Each trial is a process of its own, or two of torchrun. The two that are held against each other run at once and take
turns of a few steps (`benchmarks/turns.py`): one stands still while the other works, so that both meet the same minutes
of a machine whose speed drifts. Levers are measured one trial after the other, the order reversed every second round.
Seconds a step count from the start of one step to the start of the next, without the first ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.footprint import watch
from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table
from benchmarks.published import PUBLISHED
from benchmarks.train_trial import TrainMeasurement, TrainTrial
from benchmarks.turns import Player, by_turns
from training.runs.perception import parser_closet

SKIPPED = 4
STRETCH = 5
"""Steps a turn; the first turn of each trial is not counted."""
AIMS = {1: 0.97, 2: 0.95}
"""By workers: the least share of the bare loop's samples a second."""
STEPS, LEVER_STEPS = 150, 40
CHECKPOINT_AIM = 0.02
CHECKPOINT_EVERY = 10
"""Steps: so often that what a checkpoint takes stands out of the noise."""
DEFAULT_EVERY = parser_closet().checkpoint_every_steps
QUIET = 0.1
_DRAWS = 2000
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
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
            footprint = watch(process)
        if process.returncode:
            words = said.read_text(errors="replace")
            if _OUT_OF_MEMORY in words:
                raise TooLarge(case.name)
            raise RuntimeError(f"{case.name} failed:\n{words[-4000:]}")
        return Result(case=case, repeat=repeat, measured=_read(result), others=footprint.others)


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help=f"of a trial; default: {STEPS}, or {LEVER_STEPS} with --levers")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--levers", action="store_true", help="measure precision, compile, channels-last instead")
    parser.add_argument(
        "--run", choices=tuple(PUBLISHED), help="with --levers: a run of a published size, on an accelerator"
    )
    parser.add_argument(
        "--batch-sizes", type=_sizes, metavar="B,B", help="with --levers; default: the batch size and four times it"
    )
    add_output_options(parser, "training")
    options = parser.parse_args()
    if options.run and not options.levers:
        parser.error("--run: goes with --levers; the bare loop trains the small parser alone")
    if options.run and not torch.cuda.is_available():
        parser.error(f"--run {options.run}: is of a published size and needs an accelerator; there is none here")
    options.steps = options.steps or (LEVER_STEPS if options.levers else STEPS)
    console, machine = Console(), describe()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder),
            lambda line: console.print(line, style="dim", highlight=False),
            steps=options.steps,
            batch_size=options.batch_size,
            rounds=options.rounds,
            settings={"run": f"benchmarks.published:{options.run}"} if options.run else None,
        )
        bench.draw()
        measure = _levers if options.levers else _against_bare
        results, tables = measure(bench, options)
    figures = {"machine": machine, "trials": [_plain(result) for result in results]}
    section = f"training-levers-{options.run}" if options.run else "training-levers"
    conclude(options, section if options.levers else "training", figures, tables, console=console)


def _against_bare(bench: Bench, options: argparse.Namespace) -> tuple[list[Result], list[Table | str]]:
    results: list[Result] = []
    table = markdown_table(
        "workers", "bare ms/step", "loop ms/step", "loop's share of bare's samples/s", "95 % interval", "aim"
    )
    for num_workers, aim in AIMS.items():
        bare = Case(name=f"bare, {num_workers} workers", settings={"system": "bare"}, num_workers=num_workers)
        loop = Case(name=f"loop, {num_workers} workers", settings={"system": "loop"}, num_workers=num_workers)
        found = bench.by_turns(bare, loop)
        results += found
        share, least, most = ratio_by_turns(found, of=bare, to=loop)
        table.add_row(
            str(num_workers),
            f"{1000 * _median(found, bare):.0f}",
            f"{1000 * _median(found, loop):.0f}",
            f"{share:.1%}",
            f"{least:.1%} to {most:.1%}",
            f"{aim:.0%}: {_verdict(share >= aim, found)}",
        )
    never = Case(name="no checkpoints", settings={"system": "loop"})
    often = Case(
        name=f"a checkpoint every {CHECKPOINT_EVERY} steps",
        settings={"system": "loop", "checkpoint_every_steps": CHECKPOINT_EVERY},
    )
    found = bench.by_turns(never, often)
    results += found
    extra, least, most = (ratio - 1 for ratio in ratio_by_turns(found, of=often, to=never))
    size = max(result.measured.checkpoint_bytes for result in found if result.case is often)
    by_default = extra * CHECKPOINT_EVERY / DEFAULT_EVERY
    words = (
        f"An asynchronous checkpoint of {size / 2**20:.0f} MiB every {CHECKPOINT_EVERY} steps of "
        f"{1000 * _median(found, never):.0f} ms makes a step {extra:+.1%} longer ({least:+.1%} to {most:+.1%}); "
        f"one every {DEFAULT_EVERY} steps, which is the default, {by_default:+.2%} by that (aim {CHECKPOINT_AIM:.0%}: "
        f"{_verdict(by_default <= CHECKPOINT_AIM, found)})."
    )
    return results, [table, words, _notes(results, options)]


def _levers(bench: Bench, options: argparse.Namespace) -> tuple[list[Result], list[Table | str]]:
    cases = {
        "float32": {"precision": "float32"},
        "bfloat16": {},
        "bfloat16, channels-last": {"channels_last": True},
        "bfloat16, compiled": {"compile": True},
        "bfloat16, channels-last, compiled": {"channels_last": True, "compile": True},
    }
    table = markdown_table("levers", "batch", "samples/s", "over float32", "peak MiB")
    results: list[Result] = []
    for batch_size in options.batch_sizes or (options.batch_size, 4 * options.batch_size):
        named = [
            Case(name=f"{name}, batch {batch_size}", settings={"system": "loop", "batch_size": batch_size, **settings})
            for name, settings in cases.items()
        ]
        found = bench.run(*named)
        results += found
        there = {result.case.name for result in found}
        for name, case in zip(cases, named, strict=True):
            if case.name not in there:
                table.add_row(name, str(batch_size), "too large", "", "")
                continue
            gain = f"{statistics.median(_ratios(found, of=named[0], to=case)):.2f}x" if named[0].name in there else ""
            peak = max(result.measured.peak_bytes for result in found if result.case is case)
            table.add_row(
                name,
                str(batch_size),
                f"{batch_size / _median(found, case):.1f}",
                gain,
                f"{peak / 2**20:.0f}" if torch.cuda.is_available() else "",
            )
    return results, [table, _notes(results, options)]


def ratio_by_turns(results: Sequence[Result], *, of: Case, to: Case) -> tuple[float, float, float]:
    """Seconds of one case over another's, summed over all turns but the first of each round, with a 95 % interval.

    The interval is a bootstrap over turns, each of which holds both cases.
    """
    seconds = {(result.case.name, result.repeat): result.measured.stretches_s(STRETCH)[1:] for result in results}
    rounds = sorted(repeat for name, repeat in seconds if name == of.name)
    turns = np.array(
        [pair for repeat in rounds for pair in zip(seconds[of.name, repeat], seconds[to.name, repeat], strict=True)]
    )
    drawn = np.random.default_rng(0).integers(len(turns), size=(_DRAWS, len(turns)))
    above, below = turns[drawn].sum(1).T
    least, most = np.quantile(above / below, (0.025, 0.975))
    return float(turns[:, 0].sum() / turns[:, 1].sum()), float(least), float(most)


def _ratios(results: Sequence[Result], *, of: Case, to: Case) -> list[float]:
    """Seconds a step of one case over another's, round by round."""
    by_round = {(result.case.name, result.repeat): result.step_s for result in results}
    rounds = sorted(repeat for name, repeat in by_round if name == of.name and (to.name, repeat) in by_round)
    return [by_round[of.name, repeat] / by_round[to.name, repeat] for repeat in rounds]


def _median(results: Sequence[Result], case: Case) -> float:
    return statistics.median(result.step_s for result in results if result.case is case)


def _verdict(holds: bool, results: Sequence[Result]) -> str:
    if statistics.median(result.others for result in results) > QUIET:
        return "no verdict"
    return "met" if holds else "missed"


def _notes(results: Sequence[Result], options: argparse.Namespace) -> str:
    others = [result.others for result in results]
    return (
        f"{options.run or f'Batches of {options.batch_size} at 256x192'} unless said otherwise, "
        f"{options.steps} steps a trial, "
        f"{len(results)} trials. Others took {min(others):.0%} to {max(others):.0%} of the machine's CPU meanwhile, "
        f"{statistics.median(others):.0%} in the median; above {QUIET:.0%} no aim gets a verdict."
    )


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} must be batch sizes such as 4,8,16")
    return tuple(map(int, parts))


def _read(result: Path) -> TrainMeasurement:
    return TrainMeasurement(**json.loads(result.read_text()))


def _plain(result: Result) -> dict[str, Any]:
    return {
        "case": result.case.name,
        "repeat": result.repeat,
        "step_s": result.step_s,
        "started_s": result.measured.started_s,
        "others": result.others,
        "peak_bytes": result.measured.peak_bytes,
        "checkpoint_bytes": result.measured.checkpoint_bytes,
    }


if __name__ == "__main__":
    main()
