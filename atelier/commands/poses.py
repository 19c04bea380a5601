"""`python -m atelier poses`: the poses that rows may name."""

from __future__ import annotations

import argparse
import sys

from atelier import poses
from atelier.commands import outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the sheet."""
    parser.add_argument(
        "--sheet",
        type=outputs.file,
        metavar="FILE",
        help="draw them all, in the order listed, into a .png or .jpg file",
    )


def run(arguments: argparse.Namespace) -> int:
    """Lists the names, a line a pose with its maps in other clothes behind it, or draws the sheet and says where."""
    if not arguments.sheet:
        clothes = ("", *(f"_{outfit}" for outfit in poses.outfits()))
        lines = (" ".join(f"{name}{outfit}" for outfit in clothes) for name in poses.names())
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return 0
    from atelier.closet.pose_pack import write_pose_sheet

    sys.stdout.write(f"{write_pose_sheet(arguments.sheet)}\n")
    return 0
