"""`python -m training COMMAND …`: run, list and export what is trained."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from atelier import storage
from atelier.commands import numbers, outputs, texts
from atelier.commands.pipes import telling
from atelier.errors import AtelierError, ConfigError
from training import evaluate
from training.data.command import add_prepare, prepare_command
from training.disk import telling_of_the_disk
from training.earlier import send
from training.export import export
from training.launch.holding import holding
from training.launch.in_process import train_in_process
from training.launch.refusal import would_come_again
from training.launch.request import TrainRequest, about_of
from training.launch.torchrun import end_torchrun, is_torchrun_worker, start_torchrun, train_under_torchrun
from training.runs import RUNS
from training.watch.settings import WatchSettings
from training.world import is_lost_touch

INTERRUPTED = 130
"""Exit status of a run that was asked to stop: its checkpoint is whole, and `--resume` goes on."""


_NAMES = f"{', '.join(RUNS)}, or module:function of one's own"


def main() -> int:
    """Runs one command and gives its exit status: 0 done, 1 refused with a reason, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Trains Atelier's networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train a named run, or take it up again")
    run.add_argument("name", metavar="NAME", help=_NAMES)
    run.add_argument(
        "--data", type=texts.given, help="address of its data; default: drawn, where the run names what to draw"
    )
    run.add_argument(
        "--output",
        required=True,
        type=outputs.folder,
        help="folder of runs, local or s3://: this one's goes to OUTPUT/NAME",
    )
    run.add_argument(
        "--cache", type=outputs.local_folder, default=TrainRequest.cache, help="where drawn and fetched data is kept"
    )
    run.add_argument("--steps", type=numbers.count, help="how long the run is, in place of its own number of steps")
    run.add_argument(
        "--precision", choices=("float32", "bfloat16"),
        help="of the networks' products; bfloat16 is slower where a CPU has no instructions for it; default: the run's",
    )  # fmt: skip
    run.add_argument("--keep-last", type=numbers.count, metavar="N", help="how many of the newest checkpoints stay")
    run.add_argument(
        "--keep-best", type=_best, metavar="METRIC[:N]",
        help="besides them the N (else 1) whose validation is the best by one of its metrics",
    )  # fmt: skip
    run.add_argument(
        "--vgg", type=texts.given, help="an ImageNet VGG's weights, for the perceptual loss of a run that can have one"
    )
    run.add_argument(
        "--loader-workers", type=numbers.count_from_zero, metavar="N",
        help="processes a worker that make rows ahead of the step; 0 makes them in its own; default: the run's",
    )  # fmt: skip
    run.add_argument("--resume", action="store_true", help="go on from OUTPUT/NAME's checkpoint")
    run.add_argument("--launcher", choices=("in-process", "torchrun", "ray"), default="in-process")
    run.add_argument(
        "--workers", type=_workers, default=(1, 1), metavar="N|MIN:MAX",
        help="how many train together; MIN:MAX with Ray: as many as there is room for",
    )  # fmt: skip
    run.add_argument(
        "--restarts", type=numbers.count_from_zero, default=10, help="how often lost workers are started again"
    )
    run.add_argument("--quiet", action="store_true", help="tell nothing of the progress")
    run.add_argument(
        "--mlflow",
        type=texts.given,
        metavar="URI",
        help="tracking server that gets the curves too, e.g. http://mlflow:5000",
    )
    run.add_argument(
        "--wandb", type=texts.given, metavar="PROJECT", help="project of Weights & Biases that gets the curves too"
    )
    run.add_argument("--wandb-offline", action="store_true", help="keep them beside the log, for `wandb sync` later")
    run.add_argument("--metrics-port", type=numbers.port_or_any, metavar="PORT", help="serve Prometheus gauges there")
    commands.add_parser("list", help="the runs there are")
    add_prepare(commands)
    exporting = commands.add_parser("export", help="a checkpoint as the weight folder that batch and serving load")
    exporting.add_argument("name", metavar="NAME", help=_NAMES)
    exporting.add_argument("--output", required=True, type=texts.given, help="folder of runs, local or s3://")
    exporting.add_argument(
        "--to", required=True, type=outputs.folder, help="the weight folder to write, local or s3://"
    )
    exporting.add_argument(
        "--cache", type=outputs.local_folder, default=TrainRequest.cache, help="where fetched weights are kept"
    )
    exporting.add_argument("--step", type=numbers.count_from_zero, help="which checkpoint; default: the newest")
    exporting.add_argument(
        "--not-averaged", action="store_true", help="the last weights in place of their moving average"
    )
    exporting.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="of the stored weights")
    exporting.add_argument("--licence", default="not stated", help="for the model card")
    evaluate.add_arguments(commands.add_parser("evaluate", help="made pictures against true ones: SSIM, LPIPS, FID, …"))
    try:
        arguments = parser.parse_args()
    except SystemExit as ended:
        if ended.code and is_torchrun_worker():
            end_torchrun()
        raise
    chosen = {
        "run": _run,
        "list": _list,
        "prepare": prepare_command,
        "export": _export,
        "evaluate": evaluate.run,
    }
    try:
        with _speaking(quiet=getattr(arguments, "quiet", False)), telling_of_the_disk():
            return chosen[arguments.command](arguments)
    except AtelierError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        if is_torchrun_worker() and would_come_again(error):
            end_torchrun()
        return 1
    except RuntimeError as error:
        if not (is_torchrun_worker() and is_lost_touch(error)):
            raise
        # The first worker's observers have told more of it, and torchrun starts all anew.
        print(f"worker {os.environ['RANK']}: another worker is gone", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("interrupted at once; whatever checkpoint is whole stays, and --resume goes on from it", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _speaking(*, quiet: bool) -> Iterator[None]:
    """Shows on stderr what training logs meanwhile; other libraries' logs stay as they are."""
    logger, handler = logging.getLogger("training"), logging.StreamHandler()
    before = logger.level
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _run(arguments: argparse.Namespace) -> int:
    fewest, most = arguments.workers
    # A person's own torchrun says who is who by itself.
    launcher = "torchrun" if is_torchrun_worker() else arguments.launcher
    if launcher == "in-process" and most > 1:
        raise ConfigError(f"--workers: is {most}; in one process one worker trains: add --launcher torchrun or ray")
    if launcher == "torchrun" and fewest != most:
        raise ConfigError(f"--workers: is {fewest}:{most}; torchrun takes one number, --launcher ray takes a range")
    if arguments.wandb_offline and arguments.wandb is None:
        raise ConfigError("--wandb-offline: keeps what --wandb PROJECT would send; name the project too")
    if arguments.vgg is not None:
        step = TrainRequest(run=arguments.name, output=arguments.output).resolved().step
        if not hasattr(step, "vgg"):
            raise ConfigError(f"--vgg: is for a perceptual loss, which run {arguments.name} has not; must be left out")
    request = TrainRequest(
        run=arguments.name,
        data=arguments.data,
        output=arguments.output,
        cache=arguments.cache,
        overrides={name: value for name, value in _overrides(arguments) if value is not None},
        resume=arguments.resume,
        watch=WatchSettings(
            quiet=arguments.quiet,
            mlflow=arguments.mlflow,
            wandb=arguments.wandb,
            wandb_offline=arguments.wandb_offline,
            metrics_port=arguments.metrics_port,
        ),
        command=_typed(),
    )
    if launcher == "in-process":
        outcome = train_in_process(request)
    elif launcher == "ray":
        # Here: to import Ray takes seconds, and the other launchers need none of it.
        from training.launch.ray_train import RayWorkers, train_on_ray

        workers = RayWorkers(num_workers=most if fewest == most else (fewest, most), max_failures=arguments.restarts)
        outcome = train_on_ray(request, workers)
    elif is_torchrun_worker():
        outcome = train_under_torchrun(request)
        if int(os.environ["RANK"]) > 0:
            return 0
    else:
        request.refuse_overwriting()
        resumed = [*sys.argv[1:], *([] if arguments.resume else ["--resume"])]
        with holding(request.folder, lambda reason: os.kill(os.getpid(), signal.SIGTERM)):
            return start_torchrun(resumed, num_workers=arguments.workers[1], max_restarts=arguments.restarts)
    done = "1 step" if outcome.num_steps_done == 1 else f"{outcome.num_steps_done} steps"
    print(f"{outcome.run}: {outcome.reason}: {done} done; checkpoint in {outcome.checkpoint}")
    return 0 if outcome.is_done or is_torchrun_worker() else INTERRUPTED


def _typed() -> str:
    """What starts this very command again."""
    return f"python -m training {shlex.join(sys.argv[1:])}"


def _overrides(arguments: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    metric, num_best = arguments.keep_best or (None, None)
    yield "num_steps", arguments.steps
    yield "precision", arguments.precision
    yield "step.vgg", arguments.vgg
    yield "loader_workers", arguments.loader_workers
    yield "keep.num_last", arguments.keep_last
    yield "keep.metric", metric
    yield "keep.num_best", num_best


def _best(text: str) -> tuple[str, int]:
    metric, _, number = text.partition(":")
    if not metric or not (number or "1").isdecimal() or int(number or 1) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a metric, or METRIC:N such as garment_iou:3")
    return metric, int(number or 1)


def _workers(text: str) -> tuple[int, int]:
    fewest, _, most = text.partition(":")
    most = most or fewest
    if not (fewest.isdecimal() and most.isdecimal() and 1 <= int(fewest) <= int(most)):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 up, or MIN:MAX such as 4:16")
    return int(fewest), int(most)


def _list(arguments: argparse.Namespace) -> int:
    width = max(map(len, RUNS))
    for name, run in RUNS.items():
        print(f"{name:{width}}  {about_of(run)}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    request = TrainRequest(run=arguments.name, output=arguments.output, cache=arguments.cache)
    run = request.resolved()
    to = storage.resolve(arguments.to)
    request.fetch_earlier(run)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / storage.name(to) if storage.is_s3(to) else Path(to)
        with telling_of_the_disk(str(folder)):
            exported = export(
                run,
                request.address("checkpoints"),
                folder,
                runs=request.runs_folder,
                step=arguments.step,
                averaged=not arguments.not_averaged,
                dtype=torch.float16 if arguments.dtype == "float16" else None,
                licence=arguments.licence,
                about=request.about,
                command=_typed(),
            )
        if storage.is_s3(to):
            send(folder, to)
    print(f"{arguments.to}: {exported.info.run} after {exported.info.num_steps_done} steps, sha256 {exported.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(telling(main))
