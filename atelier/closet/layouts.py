"""Drawn data sets in the layouts that teams have on disk: training and test splits of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from atelier import storage
from atelier.closet.casting import cast
from atelier.closet.files import jpeg, labels_png, png
from atelier.closet.flat import draw_flat
from atelier.closet.look import draw_look
from atelier.closet.outfits import outfit_for
from atelier.datasets import deepfashion, multimodal, viton_hd
from atelier.geometry.pose_image import pose_image
from atelier.skeletons import BODY_25, COCO_18, coco18, write_openpose

Layout = Literal["viton_hd", "deepfashion", "multimodal"]
LAYOUTS: tuple[Layout, ...] = ("viton_hd", "deepfashion", "multimodal")

_MULTIMODAL_JOINTS = [BODY_25.index(name) for name in (*COCO_18, "mid_hip", "left_big_toe", "right_big_toe")]


def write_dataset(
    layout: Layout, out: str, *, items: int, seed: int, size: tuple[int, int], split: Literal["train", "test"]
) -> str:
    """Draws a data set in a layout; the test split is drawn from held-out seeds.

    Args:
        out: folder or `s3://` prefix.
        items: people (VITON-HD), pairs (DeepFashion) or pictures (MultiModal, which has no splits of its own).

    Returns:
        The root to give to the layout's reader.
    """
    held_out = split == "test"
    if layout == "viton_hd":
        viton_hd.write(out, split, _people(items, seed, size, held_out))
    elif layout == "deepfashion":
        pictures = list(_two_poses(items, seed, size, held_out))
        names = [name for name, _, _ in pictures]
        deepfashion.write(out, split, pictures, zip(names[::2], names[1::2], strict=True))
    else:
        multimodal.write(out, _described(items, seed, size, held_out))
    return storage.resolve(out)


def _people(items: int, seed: int, size: tuple[int, int], held_out: bool) -> Iterator[viton_hd.TryOnFiles]:
    for index in range(items):
        role = cast(seed, index, held_out=held_out)
        look = draw_look(person=role.person, outfit=role.dressed, pose=role.pose, size=size)
        flat = draw_flat(garment=role.garment, size=size)
        yield viton_hd.TryOnFiles(
            name=f"{index:05d}_00",
            person_jpeg=jpeg(look.image),
            garment_jpeg=jpeg(flat.image),
            garment_mask_jpeg=jpeg(flat.mask * np.uint8(255)),
            parse_png=labels_png(look.parse_cihp),
            keypoints_json=write_openpose(look.keypoints),
            pose_image_png=png(pose_image(look.keypoints, size)),
        )


def _two_poses(items: int, seed: int, size: tuple[int, int], held_out: bool) -> Iterator[tuple[str, bytes, np.ndarray]]:
    for index in range(items):
        role = cast(seed, index, held_out=held_out)
        for view, pose in (("1_front", role.pose), ("2_side", role.other_pose)):
            look = draw_look(person=role.person, outfit=role.worn, pose=pose, size=size)
            yield f"closet_id_{index:08d}_{view}.jpg", jpeg(look.image), coco18(look.keypoints)


def _described(items: int, seed: int, size: tuple[int, int], held_out: bool) -> Iterator[multimodal.TextFiles]:
    for index in range(items):
        role = cast(seed, index, held_out=held_out)
        # Nobody is seen twice here: the number of the second pose says what is worn, of all that the closet has.
        outfit = outfit_for(role.other_pose)
        look = draw_look(person=role.person, outfit=outfit, pose=role.pose, size=size)
        yield multimodal.TextFiles(
            name=f"closet-{index:08d}",
            image_jpeg=jpeg(look.image),
            parse_png=labels_png(look.parse_multimodal),
            caption=look.caption,
            keypoints=look.keypoints[_MULTIMODAL_JOINTS],
        )
