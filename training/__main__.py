"""`python -m training COMMAND …`: run, list and export what is trained."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
from pathlib import Path

import torch

from atelier.errors import AtelierError
from training.loop import TrainLoop
from training.runs import RUNS, named


def main() -> int:
    """Runs one command and gives its exit status: 0 done, 1 refused with a reason, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Trains Atelier's networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train a named run, or take it up again")
    run.add_argument("name", metavar="NAME", help=", ".join(RUNS))
    run.add_argument("--output", type=Path, required=True, help="folder of runs: this one's goes to OUTPUT/NAME")
    run.add_argument("--cache", type=Path, help="where drawn data is kept; default OUTPUT/data")
    run.add_argument("--steps", type=int, help="how long the run is, in place of its own number of steps")
    run.add_argument("--resume", action="store_true", help="go on from OUTPUT/NAME's checkpoint")
    commands.add_parser("list", help="the runs there are")
    export = commands.add_parser("export", help="a checkpoint's averaged weights as a folder of safetensors")
    export.add_argument("name", metavar="NAME", help=", ".join(RUNS))
    export.add_argument("--output", type=Path, required=True, help="folder of runs")
    export.add_argument("--to", type=Path, required=True, help="the weight folder to write")
    arguments = parser.parse_args()
    try:
        return {"run": _run, "list": _list, "export": _export}[arguments.command](arguments)
    except AtelierError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    run = named(arguments.name)
    if arguments.steps is not None:
        run = dataclasses.replace(run, num_steps=arguments.steps)
    loop = TrainLoop(run, arguments.output / run.name, arguments.cache or arguments.output / "data")
    if arguments.resume:
        loop.resume()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    loop.fit()
    print(f"{run.name}: {loop.num_steps_done} steps done; checkpoint in {loop.folder}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    for name, run in RUNS.items():
        print(f"{name:32} {(run.__doc__ or '').splitlines()[0]}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    run = named(arguments.name)
    loop = TrainLoop(run, arguments.output / run.name, arguments.output / "data")
    loop.resume()
    digest = loop.step.export(loop.average.networks, arguments.to, torch.float16)
    print(f"{arguments.to}: {run.name} after {loop.num_steps_done} steps, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
