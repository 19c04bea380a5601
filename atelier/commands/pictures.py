"""The arguments and the run of an evaluation of picture sets, wherever it is called from."""

from __future__ import annotations

import argparse
import sys

from atelier.commands import numbers, outputs, texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares two sets, a protocol and the weights to judge by."""
    parser.add_argument(
        "--made", required=True, type=texts.given, metavar="URI", help="made pictures: folder, job output or catalog"
    )
    parser.add_argument(
        "--true",
        required=True,
        type=texts.given,
        metavar="URI",
        help="true ones: folder, or catalog with a column truth",
    )
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="plain (as stored), catalog (true pictures at the made ones' size), viton_hd_1024, viton_hd_512, "
        "viton_hd_256, pidm_256, pidm_512; default: catalog for a job's output, else plain",
    )
    parser.add_argument(
        "--pairs", type=texts.given, metavar="URI", help="file of pairs, a line each: MADE TRUE; default: by name"
    )
    parser.add_argument(
        "--task",
        dest="alone",  # `python -m atelier evaluate TASK` has a `task` of its own
        metavar="NAME",
        help="task of a job's output that is judged alone, or TASK:RECIPE where several recipes made it; default: each",
    )
    parser.add_argument("--unpaired", action="store_true", help="pictures have no partners: distances alone")
    parser.add_argument(
        "--training", type=texts.given, metavar="URI", help="training pictures, which PIDM's FID is against"
    )
    parser.add_argument(
        "--lpips", type=texts.given, metavar="FOLDER", help="LPIPS weights (python -m atelier convert lpips)"
    )
    parser.add_argument(
        "--features",
        type=texts.given,
        metavar="FILE",
        help="pt_inception-2015-12-05-6726825d.pth for FID and KID; or LPIPS or parser weights, whose distances are "
        "called by other names",
    )
    parser.add_argument("--device", default="", help="cpu or cuda; default: cuda where there is one")
    parser.add_argument(
        "--batch-size", type=numbers.count, default=8, metavar="B", help="pictures in a network at once"
    )
    parser.add_argument(
        "--out", required=True, type=outputs.folder, metavar="URI", help="folder or prefix for eval.json, pairs.csv"
    )


def _told(name: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{name}: {done:,} of {total:,}" + ("\n" if done == total else ""))


def _silent(name: str, done: int, total: int) -> None:
    """A log file wants the table alone."""


def run(arguments: argparse.Namespace) -> int:
    """Judges, writes, and prints the table."""
    import torch

    from atelier.evaluation import sets

    job = sets.Job(
        made=arguments.made,
        truth=arguments.true,
        protocol=sets.named(arguments.protocol or ("catalog" if sets.is_output(arguments.made) else "plain")),
        paired=not arguments.unpaired,
        pairs=arguments.pairs,
        task=arguments.alone,
        training=arguments.training,
        lpips=arguments.lpips,
        features=arguments.features,
        device=arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        batch_size=arguments.batch_size,
    )
    evaluated = sets.evaluate_by_task(job, _told if sys.stderr.isatty() else _silent)
    sets.write_by_task(evaluated, arguments.out)
    sys.stdout.write(f"{sets.table_by_task(evaluated)}{arguments.out.rstrip('/')}/eval.json\n")
    return 0
