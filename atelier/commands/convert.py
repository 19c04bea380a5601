"""`python -m atelier convert PAPER …`: published checkpoints in, a folder of safetensors out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares one subcommand per paper, with the names of its published files."""
    papers = parser.add_subparsers(dest="paper", required=True, metavar="PAPER")

    viton_hd = papers.add_parser("viton_hd", help="VITON-HD: seg_final.pth, gmm_final.pth, alias_final.pth")
    viton_hd.add_argument("--segmentation", type=Path, required=True, help="seg_final.pth")
    viton_hd.add_argument("--matching", type=Path, required=True, help="gmm_final.pth")
    viton_hd.add_argument("--alias", type=Path, required=True, help="alias_final.pth")
    viton_hd.add_argument("--out", type=Path, required=True, help="the folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Converts and says where the weights lie and which digest they have."""
    from atelier.models.viton_hd.convert import convert

    digest = convert(
        segmentation=arguments.segmentation, matching=arguments.matching, alias=arguments.alias, out=arguments.out
    )
    sys.stdout.write(f"{arguments.out}: viton_hd, sha256 {digest}\n")
    return 0
