"""`python -m atelier poses`: the poses that rows may name."""

from __future__ import annotations

import argparse
import sys

from atelier import poses


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the sheet."""
    parser.add_argument("--sheet", metavar="FILE", help="draw them all, in the order listed, into a .png or .jpg file")


def run(arguments: argparse.Namespace) -> int:
    """Lists the names, or draws the sheet and says where it lies."""
    if not arguments.sheet:
        sys.stdout.write("".join(f"{name}\n" for name in poses.names()))
        return 0
    from atelier.closet.pose_pack import write_pose_sheet

    sys.stdout.write(f"{write_pose_sheet(arguments.sheet)}\n")
    return 0
