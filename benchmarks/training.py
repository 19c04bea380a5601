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
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table
from benchmarks.published import PUBLISHED
from benchmarks.train_cases import Bench, Case, Result, median_step_s, ratio_by_turns, ratios
from training.runs.perception import parser_closet

AIMS = {1: 0.97, 2: 0.95}
"""By workers: the least share of the bare loop's samples a second."""
STEPS, LEVER_STEPS = 150, 40
CHECKPOINT_AIM = 0.02
CHECKPOINT_EVERY = 10
"""Steps: so often that what a checkpoint takes stands out of the noise."""
DEFAULT_EVERY = parser_closet().checkpoint_every_steps
QUIET = 0.1


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
    figures = {"machine": machine, "trials": [result.to_json() for result in results]}
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
        share = ratio_by_turns(found, of=bare, to=loop)
        table.add_row(
            str(num_workers),
            f"{1000 * median_step_s(found, bare):.0f}",
            f"{1000 * median_step_s(found, loop):.0f}",
            f"{share.value:.1%}",
            f"{share.low:.1%} to {share.high:.1%}",
            f"{aim:.0%}: {_verdict(share.value >= aim, found)}",
        )
    never = Case(name="no checkpoints", settings={"system": "loop"})
    often = Case(
        name=f"a checkpoint every {CHECKPOINT_EVERY} steps",
        settings={"system": "loop", "checkpoint_every_steps": CHECKPOINT_EVERY},
    )
    found = bench.by_turns(never, often)
    results += found
    longer = ratio_by_turns(found, of=often, to=never)
    size = max(result.measured.checkpoint_bytes for result in found if result.case is often)
    by_default = (longer.value - 1) * CHECKPOINT_EVERY / DEFAULT_EVERY
    between = f"{longer.low - 1:+.1%} to {longer.high - 1:+.1%}"
    words = (
        f"An asynchronous checkpoint of {size / 2**20:.0f} MiB every {CHECKPOINT_EVERY} steps of "
        f"{1000 * median_step_s(found, never):.0f} ms makes a step {longer.value - 1:+.1%} longer ({between}); "
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
            gain = f"{statistics.median(ratios(found, of=named[0], to=case)):.2f}x" if named[0].name in there else ""
            peak = max(result.measured.peak_bytes for result in found if result.case is case)
            table.add_row(
                name,
                str(batch_size),
                f"{batch_size / median_step_s(found, case):.1f}",
                gain,
                f"{peak / 2**20:.0f}" if torch.cuda.is_available() else "",
            )
    return results, [table, _notes(results, options)]


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


if __name__ == "__main__":
    main()
