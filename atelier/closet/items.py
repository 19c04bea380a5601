"""One item of a drawn catalog, by task: its row, the files that the row names, and its true answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from atelier.closet.casting import HELD_OUT, Casting
from atelier.closet.files import jpeg, labels_png, mask_png, png
from atelier.closet.flat import draw_flat
from atelier.closet.look import draw_look
from atelier.closet.outfits import outfit_for
from atelier.closet.pose_pack import POSES, in_clothes, pose_seed
from atelier.skeletons import write_openpose

COLUMNS = (
    *("item_id", "task", "model", "person", "garment", "garment_mask", "parse", "keypoints", "pose", "pose_map"),
    *("prompt", "seed", "truth"),
)
"""`truth` is the address of the true answer; no plane reads it."""


@dataclass(frozen=True, kw_only=True)
class CatalogItem:
    """A row of the catalog and the files it names, by path relative to the catalog."""

    row: Mapping[str, str]
    files: Mapping[str, bytes]


def try_on_item(role: Casting, item_id: str, *, size: tuple[int, int], index: int) -> CatalogItem:
    """A person, a flat garment, and the person in it; every second row brings no parse and no keypoints.

    Args:
        size: (H, W) of all its pictures.
        index: of the row among those of its task.
    """
    described = index % 2 == 0
    person = draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size)
    truth = draw_look(person=role.person, outfit=role.dressed, pose=role.pose, size=size)
    garment = draw_flat(garment=role.garment, size=size)
    row = _row(
        item_id,
        "try_on",
        person=f"person/{item_id}.jpg",
        garment=f"garment/{item_id}.jpg",
        garment_mask=f"garment_mask/{item_id}.png",
        parse=f"parse/{item_id}.png" if described else "",
        keypoints=f"keypoints/{item_id}.json" if described else "",
        truth=f"truth/{item_id}.png",
    )
    files = {
        row["person"]: jpeg(person.image),
        row["garment"]: jpeg(garment.image),
        row["garment_mask"]: mask_png(garment.mask),
        f"parse/{item_id}.png": labels_png(person.parse_cihp),
        f"keypoints/{item_id}.json": write_openpose(person.keypoints),
        row["truth"]: png(truth.image),
    }
    return CatalogItem(row=row, files=files)


def pose_transfer_item(role: Casting, item_id: str, *, size: tuple[int, int], index: int) -> CatalogItem:
    """A person and a pose, and the person in it. The pose is a keypoint file, a picture of somebody else, and a name of
    the pose pack by turns; every second row brings no parse of the person."""
    named = index % 3 == 2
    name = tuple(POSES)[role.other_pose % len(POSES)]
    wanted = pose_seed(name) if named else role.other_pose
    person = draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size)
    truth = draw_look(person=role.person, outfit=role.worn, pose=wanted, size=size)
    files = {
        f"person/{item_id}.jpg": jpeg(person.image),
        f"parse/{item_id}.png": labels_png(person.parse_cihp),
        f"truth/{item_id}.png": png(truth.image),
    }
    pose = name
    if index % 3 == 0:
        pose = f"pose/{item_id}.json"
        files[pose] = write_openpose(truth.keypoints)
    elif index % 3 == 1:
        pose = f"pose/{item_id}.jpg"
        other = HELD_OUT + (role.person + 1) % (HELD_OUT // 10)
        files[pose] = jpeg(draw_look(person=other, outfit=outfit_for(other), pose=wanted, size=size).image)
    row = _row(
        item_id,
        "pose_transfer",
        person=f"person/{item_id}.jpg",
        parse=f"parse/{item_id}.png" if index % 2 == 0 else "",
        pose=pose,
        truth=f"truth/{item_id}.png",
    )
    return CatalogItem(row=row, files=files)


def text_to_person_item(role: Casting, item_id: str, *, size: tuple[int, int], index: int) -> CatalogItem:
    """A sentence and a map of regions, and the person that both tell of; every third map is one of the pose pack, in
    clothes as the sentence has them, and then the true answer is not known."""
    outfit = outfit_for(role.garment)
    look = draw_look(person=role.person, outfit=outfit, pose=role.pose, size=size)
    if index % 3 == 2:
        pose_map = in_clothes(tuple(POSES)[role.other_pose % len(POSES)], outfit)
        return CatalogItem(row=_row(item_id, "text_to_person", pose_map=pose_map, prompt=look.caption), files={})
    row = _row(
        item_id,
        "text_to_person",
        pose_map=f"pose_map/{item_id}.png",
        prompt=look.caption,
        truth=f"truth/{item_id}.png",
    )
    files = {row["pose_map"]: labels_png(np.ascontiguousarray(look.parse_multimodal)), row["truth"]: png(look.image)}
    return CatalogItem(row=row, files=files)


TASKS: Mapping[str, Callable[..., CatalogItem]] = {
    "try_on": try_on_item,
    "pose_transfer": pose_transfer_item,
    "text_to_person": text_to_person_item,
}
"""How an item of each task is drawn."""


def asking(item: CatalogItem, model: str) -> CatalogItem:
    """The same item, asking for a model."""
    return replace(item, row={**item.row, "model": model})


def _row(item_id: str, task: str, **cells: str) -> dict[str, str]:
    return {name: {"item_id": item_id, "task": task, **cells}.get(name, "") for name in COLUMNS}
