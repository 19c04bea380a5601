"""The arguments and the run of a judgement of systems that make whole people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from atelier.commands import numbers, outputs

MODELS: Mapping[str, Sequence[str]] = {"pose_transfer": ("pidm", "truepose"), "text_to_person": ("human_diffusion",)}
HELP = {
    "pose_transfer": "people in another pose against true ones, and a copy of the source beside them",
    "text_to_person": "people out of sentences and regions against true ones",
}


def add_arguments(parser: argparse.ArgumentParser, models: Sequence[str]) -> None:
    """Declares whom to judge, on what, and by which networks."""
    parser.add_argument("--model", choices=models, default=models[0], help=f"which system, default {models[0]}")
    parser.add_argument("--weights", help="a shipped name or a folder; default: MODEL_closet")
    parser.add_argument(
        "--beside", action="append", default=[], metavar="NAME=WEIGHTS",
        help="other weights of the same system, judged on the same items: an ablation; may be given again",
    )  # fmt: skip
    if "human_diffusion" in models:
        parser.add_argument(
            "--memory",
            default="",
            help="a folder that `memory build` made with the encoders of WEIGHTS, of all of them",
        )
    parser.add_argument("--mode", default="balanced", help="of sampling: quality, balanced or fast; default balanced")
    parser.add_argument("--items", type=numbers.count, default=200, help="held-out items, default 200")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--parser", default="parser_closet", help="a shipped name or a folder; reads the pictures")
    parser.add_argument("--pose", default="pose_closet", help="a shipped name or a folder; reads the pictures")
    parser.add_argument(
        "--out", type=outputs.local_folder, required=True, help="folder for eval.json, tables.md and sheet.jpg"
    )


def run(arguments: argparse.Namespace) -> int:
    """Judges, writes, and prints the tables."""
    from atelier.evaluation.people.record import evaluate_people
    from atelier.evaluation.people.systems import recipe_of

    others = [beside.partition("=") for beside in arguments.beside]
    if unnamed := [name for name, _, weights in others if not (name and weights)]:
        sys.stderr.write(f"--beside: {unnamed[0]!r} names no weights; must be NAME=WEIGHTS\n")
        return 2
    named = {arguments.model: arguments.weights or f"{arguments.model}_closet"}
    named |= {name: weights for name, _, weights in others}
    recipes = {
        name: recipe_of(arguments.model, weights=weights, mode=arguments.mode, memory=getattr(arguments, "memory", ""))
        for name, weights in named.items()
    }
    tables = evaluate_people(
        recipes,
        num_items=arguments.items,
        seed=arguments.seed,
        parser=arguments.parser,
        pose=arguments.pose,
        out=arguments.out,
    )
    sys.stdout.write(f"{tables}\n{arguments.out}/eval.json, tables.md, sheet.jpg\n")
    return 0
