"""`python -m atelier evaluate try_on`: how good the small weights are, on people and garments they never saw."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what can be judged."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    try_on = tasks.add_parser("try_on", help="SSIM, PSNR and CIEDE2000 against true answers, baselines beside them")
    try_on.add_argument("--items", type=int, default=200, help="held-out items, default 200")
    try_on.add_argument("--seed", type=int, default=0, help="which ones")
    try_on.add_argument("--weights", default="viton_hd_closet", help="a shipped name or a folder")
    try_on.add_argument("--parser", default="parser_closet", help="a shipped name or a folder")
    try_on.add_argument("--pose", default="pose_closet", help="a shipped name or a folder")
    try_on.add_argument("--out", type=Path, required=True, help="folder for eval.json, tables.md and sheet.jpg")


def run(arguments: argparse.Namespace) -> int:
    """Judges, writes, and prints the tables."""
    if arguments.items < 1:
        sys.stderr.write("--items must be at least 1\n")
        return 2
    from atelier.evaluation.record import evaluate_try_on

    tables = evaluate_try_on(
        weights=arguments.weights,
        parser=arguments.parser,
        pose=arguments.pose,
        num_items=arguments.items,
        seed=arguments.seed,
        out=arguments.out,
    )
    sys.stdout.write(f"{tables}\n{arguments.out}/eval.json, tables.md, sheet.jpg\n")
    return 0
