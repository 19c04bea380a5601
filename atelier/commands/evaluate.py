"""`python -m atelier evaluate TASK`: how good weights are on what they never saw, and made pictures against true."""

from __future__ import annotations

import argparse
import sys

from atelier.commands import numbers, outputs, people, pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what can be judged."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    try_on = tasks.add_parser("try_on", help="SSIM, PSNR and CIEDE2000 against true answers, baselines beside them")
    try_on.add_argument("--items", type=numbers.count, default=200, help="held-out items, default 200")
    try_on.add_argument("--seed", type=int, default=0, help="which ones")
    try_on.add_argument("--weights", default="viton_hd_closet", help="a shipped name or a folder")
    try_on.add_argument("--parser", default="parser_closet", help="a shipped name or a folder")
    try_on.add_argument("--pose", default="pose_closet", help="a shipped name or a folder")
    try_on.add_argument(
        "--out", type=outputs.local_folder, required=True, help="folder for eval.json, tables.md and sheet.jpg"
    )
    for task, models in people.MODELS.items():
        people.add_arguments(tasks.add_parser(task, help=people.HELP[task]), models)
    refusals = tasks.add_parser("refusals", help="how many pictures without a person are refused, and how many with")
    refusals.add_argument(
        "--items", type=numbers.count, default=500, help="held-out people of either kind, default 500"
    )
    refusals.add_argument(
        "--others", type=numbers.count, default=200, help="of each kind of other pictures, default 200"
    )
    refusals.add_argument("--parser", default="parser_closet", help="a shipped name or a folder")
    refusals.add_argument("--pose", default="pose_closet", help="a shipped name or a folder")
    sets = tasks.add_parser("pictures", help="SSIM, PSNR, LPIPS, FID and KID of made pictures against true ones")
    pictures.add_arguments(sets)


def run(arguments: argparse.Namespace) -> int:
    """Judges, writes, and prints the tables."""
    if arguments.task == "pictures":
        return pictures.run(arguments)
    if arguments.task in people.MODELS:
        return people.run(arguments)
    return _refusals(arguments) if arguments.task == "refusals" else _try_on(arguments)


def _try_on(arguments: argparse.Namespace) -> int:
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


def _refusals(arguments: argparse.Namespace) -> int:
    from atelier.evaluation.refusals import judge_refusals, refusals_table

    judged = judge_refusals(
        parser=arguments.parser,
        pose=arguments.pose,
        num_people=arguments.items,
        num_others=arguments.others,
        size=(256, 192),
    )
    sys.stdout.write(refusals_table(judged))
    return 0
