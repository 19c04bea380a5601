"""`python -m training prepare NAME --data URI --output URI`: a run's data as shards, made by Ray Data."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from atelier import storage
from atelier.commands import numbers, outputs
from training.data.config import DataConfig
from training.data.held_out import carry_held_out, check_held_out
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import MAX_LEFT_OUT, Preparation, plan
from training.data.shards.folder import refuse_strangers
from training.data.shards.index import LEFT_OUT_NAME, ShardIndex
from training.data.sources.finding import LayoutSettings
from training.launch.request import TrainRequest
from training.runs import RUNS


def add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command's arguments."""
    prepare = commands.add_parser("prepare", help="make a run's data into shards that any number of workers read")
    prepare.add_argument("name", metavar="NAME", help=f"{', '.join(RUNS)}, or module:function of one's own")
    prepare.add_argument(
        "--data",
        help="folder or s3:// prefix in the layout of VITON-HD, DeepFashion or DeepFashion-MultiModal, "
        "detected or named (viton_hd:URI); default: drawn",
    )
    prepare.add_argument(
        "--output", required=True, type=outputs.folder, help="folder or s3:// prefix of its own for the shards"
    )
    prepare.add_argument("--split", choices=("train", "test"), help="of the data set; default: the run's")
    prepare.add_argument("--parser", help="weights that find the parse, in place of the data set's own")
    prepare.add_argument("--pose", help="weights that find the keypoints, in place of the data set's own")
    prepare.add_argument(
        "--max-left-out", type=float, default=MAX_LEFT_OUT, metavar="SHARE",
        help=f"of the rows that may be broken, else {MAX_LEFT_OUT}; one may be in any case",
    )  # fmt: skip
    prepare.add_argument("--workers", type=numbers.count, help="how many work at once; default: one a CPU")
    prepare.add_argument("--gpus", type=float, default=0.0, help="accelerator share of a worker that finds parses")
    prepare.add_argument(
        "--cache",
        type=outputs.local_folder,
        default=Path("~/.cache/atelier"),
        help="where a machine keeps shards that it fetched",
    )
    prepare.add_argument("--no-ray", action="store_true", help="use this machine's processes alone")


def prepare_command(arguments: argparse.Namespace) -> int:
    """Prepares, and says what became of the rows."""
    run = TrainRequest(run=arguments.name, output=arguments.output).resolved()
    data = _with(run.data, arguments)
    refuse_strangers(arguments.output)
    source = data.source(arguments.data)
    preparation = plan(source, arguments.output, max_left_out=arguments.max_left_out)
    data.refuse_unread(preparation, arguments.data, f"run {arguments.name}")
    check_held_out(source)
    index = _prepared(preparation, arguments)
    sys.stdout.write(summary(index, arguments.output) + "\n")
    if passed_over := source.passed_over():
        sys.stdout.write(f"passed over: {passed_over}\n")
    # The test split holds nothing out of itself.
    if arguments.split != "test" and (num_held_out := carry_held_out(source, arguments.output)):
        sys.stdout.write(f"held out beside them, for validations: {num_held_out} rows of the test split\n")
    device = "cuda" if arguments.gpus else "cpu"
    folder = storage.resolve(arguments.output)
    for preparation in data.feature_preparations(folder, arguments.cache.expanduser(), device=device):
        sys.stdout.write(summary(_prepared(preparation, arguments), preparation.output) + "\n")
    return 0


def _prepared(preparation: Preparation, arguments: argparse.Namespace) -> ShardIndex:
    if arguments.no_ray:
        return prepare_here(preparation, num_processes=arguments.workers)
    from training.data.prepare import prepare  # Ray takes seconds to import, and no other command needs it

    return prepare(preparation, num_workers=arguments.workers, num_gpus=arguments.gpus)


def summary(index: ShardIndex, folder: str) -> str:
    """What became of the rows, for a person."""
    num_left_out = sum(index.left_out.values())
    size = f"{index.num_bytes / 2**20:.1f} MiB in {len(index.shards)} shards"
    lines = [
        f"{folder}: {index.num_listed} rows listed = {index.num_samples} samples + {num_left_out} left out; {size}",
        f"columns: {', '.join(f'{c.name} {c.dtype}{list(c.shape)}' for c in index.columns)}",
        f"digest: {index.digest}",
    ]
    if num_left_out:
        lines.append(f"left out: {json.dumps(dict(index.left_out))}; {storage.join(folder, LEFT_OUT_NAME)} names them")
    return "\n".join(lines)


def _with(data: DataConfig, arguments: argparse.Namespace) -> DataConfig:
    layout = data.layout or LayoutSettings(size=data.size)
    given = {name: getattr(arguments, name) for name in ("split", "parser", "pose")}
    if arguments.gpus:
        given["device"] = "cuda"
    return dataclasses.replace(
        data, layout=dataclasses.replace(layout, **{name: value for name, value in given.items() if value is not None})
    )
