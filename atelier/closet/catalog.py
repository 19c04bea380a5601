"""A drawn catalog of try-on items with true answers, and rows broken on purpose."""

from __future__ import annotations

import csv
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from atelier import storage
from atelier.closet.casting import HELD_OUT, Casting, cast
from atelier.closet.files import jpeg, labels_png, mask_png, picture_file, png
from atelier.closet.flat import draw_flat
from atelier.closet.look import draw_look
from atelier.closet.negatives import draw_negative
from atelier.closet.sheet import contact_sheet
from atelier.skeletons import write_openpose

COLUMNS = ("item_id", "task", "person", "garment", "garment_mask", "parse", "keypoints", "seed", "truth")
"""`truth` is the address of the true answer; no plane reads it."""

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class CatalogItem:
    """A row of the catalog and the files it names, by path relative to the catalog."""

    row: Mapping[str, str]
    files: Mapping[str, bytes]


def draw_item(role: Casting, item_id: str, *, size: tuple[int, int], described: bool) -> CatalogItem:
    """One try-on item with its true answer.

    Args:
        size: (H, W) of all its pictures.
        described: name the parse and the keypoints in the row; otherwise models have to find them.
    """
    person = draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size)
    truth = draw_look(person=role.person, outfit=role.dressed, pose=role.pose, size=size)
    garment = draw_flat(garment=role.garment, size=size)
    row = {
        "item_id": item_id,
        "task": "try_on",
        "person": f"person/{item_id}.jpg",
        "garment": f"garment/{item_id}.jpg",
        "garment_mask": f"garment_mask/{item_id}.png",
        "parse": f"parse/{item_id}.png" if described else "",
        "keypoints": f"keypoints/{item_id}.json" if described else "",
        "seed": "",
        "truth": f"truth/{item_id}.png",
    }
    files = {
        row["person"]: jpeg(person.image),
        row["garment"]: jpeg(garment.image),
        row["garment_mask"]: mask_png(garment.mask),
        f"parse/{item_id}.png": labels_png(person.parse_cihp),
        f"keypoints/{item_id}.json": write_openpose(person.keypoints),
        row["truth"]: png(truth.image),
    }
    return CatalogItem(row=row, files=files)


def write_catalog(
    out: str,
    *,
    items: int,
    seed: int,
    size: tuple[int, int],
    broken: int = 0,
    kinds: Iterable[str] | None = None,
) -> str:
    """Draws a catalog from held-out seeds and writes it.

    Args:
        out: folder or `s3://` prefix.
        items: good rows; every second one carries neither parse nor keypoints.
        broken: rows of each kind in `kinds` (all of `BROKEN` by default), after the good ones.

    Returns:
        The address of `catalog.csv`.
    """
    rows = []
    for index in range(items):
        item = draw_item(cast(seed, index, held_out=True), f"item-{index:05d}", size=size, described=index % 2 == 0)
        rows.append(item.row)
        _put(out, item.files)
    for position, kind in enumerate(BROKEN if kinds is None else kinds):
        for copy in range(broken):
            role = cast(seed, items + position * broken + copy, held_out=True)
            item = draw_item(role, f"{kind.replace('_', '-')}-{copy}", size=size, described=True)
            row, files = dict(item.row), dict(item.files)
            BROKEN[kind](row, files)
            rows.append(row)
            _put(out, files)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    address = storage.join(out, "catalog.csv")
    storage.put(address, text.getvalue().encode(), content_type="text/csv")
    return address


def write_sheet(out: str, *, items: int, seed: int, size: tuple[int, int]) -> str:
    """Writes a contact sheet of items: each person, the garment to try on, and the true answer.

    Args:
        out: address of a .png or .jpg file.

    Returns:
        That address.

    Raises:
        ConfigError: an address that ends otherwise.
    """
    picture_file(np.zeros((1, 1, 3), np.uint8), out)  # refused before the drawing, not after
    pictures = []
    for index in range(items):
        role = cast(seed, index, held_out=True)
        pictures += [
            draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size).image,
            draw_flat(garment=role.garment, size=size).image,
            draw_look(person=role.person, outfit=role.dressed, pose=role.pose, size=size).image,
        ]
    sheet = contact_sheet(pictures, columns=3 * min(4, items))
    storage.put(out, picture_file(np.asarray(sheet), out))
    return out


def _put(out: str, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        storage.put(storage.join(out, path), data)


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


BROKEN: dict[str, Callable[[dict[str, str], Files], None]] = {
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
}
"""Ways a row can be broken: each changes a good row and its files in place."""


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
