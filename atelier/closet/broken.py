"""Rows broken on purpose, each in one way that catalogs are broken in."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

from atelier.closet.casting import HELD_OUT
from atelier.closet.files import jpeg, labels_png
from atelier.closet.negatives import draw_negative

Files = dict[str, bytes]
Break = Callable[[dict[str, str], Files], None]


def _missing_object(row: dict[str, str], files: Files) -> None:
    del files[row["person"]]


def _truncated_jpeg(row: dict[str, str], files: Files) -> None:
    files[row["garment"]] = files[row["garment"]][: len(files[row["garment"]]) // 2]


def _no_person(row: dict[str, str], files: Files) -> None:
    height, width = _size_of(files[row["truth"]])
    light = np.linspace(236, 214, height).astype(np.uint8)
    files[row["person"]] = jpeg(np.broadcast_to(light[:, None, None], (height, width, 3)).copy())
    row["parse"] = row["keypoints"] = ""


def _swapped_pictures(row: dict[str, str], files: Files) -> None:
    row["person"], row["garment"] = row["garment"], row["person"]


def _several_people(row: dict[str, str], files: Files) -> None:
    size = _size_of(files[row["truth"]])
    files[row["person"]] = jpeg(draw_negative(HELD_OUT, size=size, kind="crowd").image)
    row["parse"] = row["keypoints"] = ""


def _unknown_task(row: dict[str, str], files: Files) -> None:
    row["task"] = "levitate"


def _not_a_picture(row: dict[str, str], files: Files) -> None:
    files[row["garment"]] = b"<html><body>404 Not Found</body></html>"


def _empty_file(row: dict[str, str], files: Files) -> None:
    files[row["person"]] = b""


def _decompression_bomb(row: dict[str, str], files: Files) -> None:
    files[row["garment"]] = _bomb(60_000)


def _bad_parse(row: dict[str, str], files: Files) -> None:
    height, width = _size_of(files[row["truth"]])
    files[row["parse"]] = labels_png(np.full((height, width), 77, np.uint8))


def _bad_keypoints(row: dict[str, str], files: Files) -> None:
    files[row["keypoints"]] = b'{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}'


def _missing_garment(row: dict[str, str], files: Files) -> None:
    row["garment"] = ""


def _bad_seed(row: dict[str, str], files: Files) -> None:
    row["seed"] = "seven"


def _unknown_pose(row: dict[str, str], files: Files) -> None:
    row["pose"] = "levitating"


def _unknown_model(row: dict[str, str], files: Files) -> None:
    row["model"] = "pix2pix"


def _bad_pose(row: dict[str, str], files: Files) -> None:
    row["pose"] = f"pose/{row['item_id']}.json"
    files[row["pose"]] = b'{"people": []}'


def _bad_pose_map(row: dict[str, str], files: Files) -> None:
    height, width = _size_of(files[row["pose_map"]])
    files[row["pose_map"]] = labels_png(np.full((height, width), 31, np.uint8))


def _missing_prompt(row: dict[str, str], files: Files) -> None:
    row["prompt"] = ""


BROKEN: dict[str, Break] = {
    "missing_object": _missing_object,
    "truncated_jpeg": _truncated_jpeg,
    "no_person": _no_person,
    "swapped_pictures": _swapped_pictures,
    "several_people": _several_people,
    "unknown_task": _unknown_task,
    "not_a_picture": _not_a_picture,
    "empty_file": _empty_file,
    "decompression_bomb": _decompression_bomb,
    "bad_parse": _bad_parse,
    "bad_keypoints": _bad_keypoints,
    "missing_garment": _missing_garment,
    "bad_seed": _bad_seed,
    "no_source": _no_person,
    "unknown_pose": _unknown_pose,
    "unknown_model": _unknown_model,
    "bad_pose": _bad_pose,
    "bad_pose_map": _bad_pose_map,
    "missing_prompt": _missing_prompt,
}
"""Ways a row can be broken: each changes a good row and its files in place."""

_TASKS = {
    "no_source": "pose_transfer",
    "unknown_pose": "pose_transfer",
    "bad_pose": "pose_transfer",
    "bad_pose_map": "text_to_person",
    "missing_prompt": "text_to_person",
}


def broken_task(kind: str) -> str:
    """The task whose rows are broken in a way."""
    return _TASKS.get(kind, "try_on")


def _size_of(png_data: bytes) -> tuple[int, int]:
    """(H, W) by the header of a PNG."""
    width, height = struct.unpack(">II", png_data[16:24])
    return height, width


def _bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header claims `side` x `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
