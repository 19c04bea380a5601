"""DeepFashion-MultiModal: `images/`, `segm/<name>_segm.png`, `keypoints/`, `captions.json`.

All 44,096 pictures have a caption; the 12,701 of a full body alone have a parse and keypoints.

Label maps hold 24 ids. Keypoint files hold 21 joints a line, (-1, -1) where absent, with visibility 0 (seen), 1
(hidden) or 2 (absent). The order of the 21 joints is published as a figure only, so they are handed on as annotated;
the closet writes COCO-18, the middle of the hips, and both big toes in their places, which is our own order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from atelier import storage
from atelier.datasets.samples import TextSample
from atelier.datasets.texts import read_text
from atelier.errors import CatalogError

NUM_JOINTS = 21
KEYPOINTS = "keypoints/keypoints_loc.txt"


@dataclass(frozen=True, kw_only=True)
class TextFiles:
    """Encoded files of one picture, as `write` puts them down; keypoints [21, 3], confidence 0 where absent."""

    name: str
    image_jpeg: bytes
    parse_png: bytes
    caption: str
    keypoints: np.ndarray


def read(root: str) -> Iterator[TextSample]:
    """Every picture that has a parse and stands among the captions, in their order; a caption that is no text is "".

    Raises:
        CatalogError: `captions.json` is absent or malformed, or no captioned picture has a parse.
    """
    captions, joints, parses = _captions(root), _keypoints(root), _parses(root)
    found = 0
    for name, caption in captions.items():
        parse = parses.get(_parse_name(name))
        if parse is None:
            continue
        found += 1
        yield TextSample(
            image=storage.join(root, f"images/{name}"),
            parse=parse,
            caption=caption if isinstance(caption, str) else "",
            keypoints=joints.get(name),
        )
    if not found:
        raise CatalogError(f"{root}: none of the {len(captions)} captioned pictures has a segm/<name>_segm.png")


def num_without_parse(root: str) -> int:
    """How many captioned pictures `read` passes over.

    Raises:
        CatalogError: `captions.json` is absent or malformed.
    """
    parses = _parses(root)
    return sum(_parse_name(name) not in parses for name in _captions(root))


def write(root: str, pictures: Iterable[TextFiles]) -> int:
    """Puts the layout down; returns how many pictures were written."""
    captions, places, visible = {}, [], []
    for files in pictures:
        image = f"{files.name}.jpg"
        storage.put(storage.join(root, f"images/{image}"), files.image_jpeg)
        storage.put(storage.join(root, f"segm/{files.name}_segm.png"), files.parse_png)
        captions[image] = files.caption
        present = files.keypoints[:, 2] > 0
        xy = np.where(present[:, None], np.rint(files.keypoints[:, :2]), -1).astype(int)
        places.append(" ".join([image, *map(str, xy.reshape(-1))]))
        visible.append(" ".join([image, *("0" if seen else "2" for seen in present)]))
    storage.put(storage.join(root, KEYPOINTS), ("\n".join(places) + "\n").encode())
    storage.put(storage.join(root, "keypoints/keypoints_vis.txt"), ("\n".join(visible) + "\n").encode())
    storage.put(storage.join(root, "captions.json"), json.dumps(captions, indent=1).encode())
    return len(captions)


def _captions(root: str) -> dict[str, object]:
    address = storage.join(root, "captions.json")
    try:
        captions = json.loads(read_text(address, root=root, layout="DeepFashion-MultiModal"))
    except ValueError as error:
        raise CatalogError(f"{address}: not JSON: {error}") from error
    if not isinstance(captions, dict):
        raise CatalogError(f"{address}: holds a {type(captions).__name__}; must be an object of 'NAME.jpg': 'caption'")
    return captions


def _parses(root: str) -> dict[str, str]:
    """File name → address."""
    return {entry.address.rsplit("/", 1)[1]: entry.address for entry in storage.list(storage.join(root, "segm") + "/")}


def _parse_name(picture: str) -> str:
    return f"{picture.rsplit('.', 1)[0]}_segm.png"


def _keypoints(root: str) -> dict[str, np.ndarray]:
    address = storage.join(root, KEYPOINTS)
    if not storage.exists(address):
        return {}
    lines = read_text(address, root=root, layout="DeepFashion-MultiModal").splitlines()
    joints = {}
    for number, line in enumerate(lines, start=1):
        name, *numbers = line.split() or [""]
        if not name:
            continue
        if len(numbers) != 2 * NUM_JOINTS:
            raise CatalogError(f"{address}, line {number}: {len(numbers)} numbers, must be {2 * NUM_JOINTS}")
        try:
            xy = np.asarray(numbers, dtype=np.float32).reshape(NUM_JOINTS, 2)
        except ValueError as error:
            raise CatalogError(f"{address}, line {number}: {error}; must be {2 * NUM_JOINTS} numbers") from error
        present = (xy >= 0).all(axis=1, keepdims=True)
        joints[name] = np.where(present, np.concatenate([xy, np.ones_like(xy[:, :1])], axis=1), 0).astype(np.float32)
    return joints
