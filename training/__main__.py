"""`python -m training COMMAND …`: run, list and export what is trained."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
from torch import nn

from atelier.errors import AtelierError
from training.checkpoints import CheckpointStore, TrainState
from training.launch.in_process import train_in_process
from training.launch.request import TrainRequest
from training.launch.torchrun import is_torchrun_worker, start_torchrun, train_under_torchrun
from training.runs import RUNS, named

INTERRUPTED = 130
"""Exit status of a run that was asked to stop: its checkpoint is whole, and `--resume` goes on."""


def main() -> int:
    """Runs one command and gives its exit status: 0 done, 1 refused with a reason, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Trains Atelier's networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train a named run, or take it up again")
    run.add_argument("name", metavar="NAME", help=", ".join(RUNS))
    run.add_argument("--data", help="address of its data; default: drawn, where the run names what to draw")
    run.add_argument("--output", required=True, help="folder of runs, local or s3://: this one's goes to OUTPUT/NAME")
    run.add_argument("--cache", type=Path, default=TrainRequest.cache, help="where drawn and fetched data is kept")
    run.add_argument("--steps", type=int, help="how long the run is, in place of its own number of steps")
    run.add_argument("--resume", action="store_true", help="go on from OUTPUT/NAME's checkpoint")
    run.add_argument("--launcher", choices=("in-process", "torchrun"), default="in-process")
    run.add_argument("--workers", type=int, default=1, help="how many train together")
    run.add_argument("--restarts", type=int, default=3, help="how often lost workers are started again")
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
    request = TrainRequest(
        run=arguments.name,
        data=arguments.data,
        output=arguments.output,
        cache=arguments.cache,
        overrides={} if arguments.steps is None else {"num_steps": arguments.steps},
        resume=arguments.resume,
        command=" ".join(["python -m training", *sys.argv[1:]]),
    )
    if arguments.launcher == "in-process":
        outcome = train_in_process(request)
    elif is_torchrun_worker():
        outcome = train_under_torchrun(request)
        if int(os.environ["RANK"]) > 0:
            return 0
    else:
        request.refuse_overwriting()
        resumed = [*sys.argv[1:], *([] if arguments.resume else ["--resume"])]
        return start_torchrun(resumed, num_workers=arguments.workers, max_restarts=arguments.restarts)
    print(f"{outcome.run}: {outcome.reason}: {outcome.num_steps_done} steps done; checkpoint in {outcome.checkpoint}")
    return 0 if outcome.is_done or is_torchrun_worker() else INTERRUPTED


def _list(arguments: argparse.Namespace) -> int:
    for name, run in RUNS.items():
        print(f"{name:32} {(run.__doc__ or '').splitlines()[0]}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    run = named(arguments.name)
    step = run.step.build(arguments.output)
    store = CheckpointStore(str(arguments.output / run.name / "checkpoints"))
    averaged = [name for player in step.players if player.average for name in player.networks]
    info = store.load(TrainState(averages=nn.ModuleDict({name: step.networks[name] for name in averaged})))
    digest = step.export(step.networks, arguments.to, torch.float16)
    print(f"{arguments.to}: {run.name} after {info.num_steps_done} steps, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
