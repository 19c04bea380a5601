"""`python -m atelier closet catalog|dataset|sheet`: the synthetic wardrobe as files."""

from __future__ import annotations

import argparse
import re
import sys

from atelier.commands import numbers, outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what can be drawn."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")

    catalog = kinds.add_parser("catalog", help="a catalog of all tasks, with true answers")
    _shared(catalog)
    _into_folder(catalog)
    catalog.add_argument(
        "--tasks",
        default="try_on",
        metavar="T,T",
        help="of try_on, pose_transfer, text_to_person, by turns; pose_transfer:truepose asks for that model",
    )
    catalog.add_argument(
        "--broken", type=numbers.count_from_zero, default=0, metavar="K", help="add K rows of every kind of broken row"
    )

    dataset = kinds.add_parser("dataset", help="a training or test set in a published layout")
    dataset.add_argument("--layout", choices=("viton_hd", "deepfashion", "multimodal"), required=True)
    dataset.add_argument(
        "--split", choices=("train", "test"), default="train", help="test is drawn from held-out seeds"
    )
    _shared(dataset)
    _into_folder(dataset)

    sheet = kinds.add_parser("sheet", help="a contact sheet to look at")
    _shared(sheet)
    sheet.add_argument("--out", required=True, type=outputs.file, metavar="FILE", help="a .png or .jpg file")


def run(arguments: argparse.Namespace) -> int:
    """Draws, and says where it lies."""
    if arguments.kind == "catalog":
        from atelier.closet.catalog import write_catalog

        done = write_catalog(
            arguments.out,
            items=arguments.items,
            seed=arguments.seed,
            size=arguments.size,
            tasks=arguments.tasks.split(","),
            broken=arguments.broken,
        )
    elif arguments.kind == "dataset":
        from atelier.closet.layouts import write_dataset

        done = write_dataset(
            arguments.layout,
            arguments.out,
            items=arguments.items,
            seed=arguments.seed,
            size=arguments.size,
            split=arguments.split,
        )
    else:
        from atelier.closet.catalog import write_sheet

        done = write_sheet(arguments.out, items=arguments.items, seed=arguments.seed, size=arguments.size)
    sys.stdout.write(f"{done}\n")
    return 0


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--items", type=numbers.count, default=24, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed draws the same, anywhere")
    parser.add_argument("--size", type=_size, default=(256, 192), metavar="HxW", help="in pixels, e.g. 1024x768")


def _into_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, type=outputs.folder, metavar="DIR", help="folder or s3:// prefix")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or min(size := (int(match[1]), int(match[2]))) < 32 or max(size) > 4096:
        raise argparse.ArgumentTypeError(f"{text!r} must be HEIGHTxWIDTH, each from 32 to 4096, e.g. 256x192")
    return size
