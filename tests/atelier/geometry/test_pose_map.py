"""PIDM's pose map: what a limb's channel says where it is, beside it, and where it is missing."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.geometry.pose_map import NUM_CHANNELS, annotated, pose_map
from atelier.skeletons import COCO_18, body25

UPPER_ARM = 3 + 2
"""The channel of the limb from the right shoulder to the right elbow."""


def _person(**joints: tuple[float, float]) -> np.ndarray:
    found = np.zeros((18, 3), np.float32)
    for name, (x, y) in joints.items():
        found[COCO_18.index(name)] = x, y, 1
    return body25(found)


@pytest.mark.parametrize("size", [(256, 256), (256, 176), (128, 96)])
def test_nobody_has_no_colours_and_every_limb_is_far(size: tuple[int, int]) -> None:
    made = pose_map(np.zeros((25, 3), np.float32), size)
    assert made.shape == (*size, NUM_CHANNELS) and made.dtype == np.uint8
    assert (made[..., :3] == 0).all()
    assert (made[..., 3:] == 255).all(), "a missing limb is 1, not 0"


def test_distances_are_counted_in_city_blocks_and_cut_down() -> None:
    made = pose_map(_person(right_shoulder=(100, 60), right_elbow=(100, 120)), (256, 256))
    channel = made[..., UPPER_ARM]
    assert channel[90, 100] == 0 and channel[90, 104] == 0, "the limb is 4 pixels wide to each side"
    assert channel[90, 104 + 10] == 10 // 3
    assert channel[120 + 20, 100 + 30] == 50 // 3
    others = [index for index in range(3, NUM_CHANNELS) if index != UPPER_ARM]
    assert (made[..., others] == 255).all()


def test_colours_are_the_lists_read_from_the_right() -> None:
    made = pose_map(_person(nose=(30, 40)), (256, 256))
    assert made[40, 30, :3].tolist() == [0, 0, 255], "the list says 255, 0, 0"
    assert np.count_nonzero(made[..., :3].any(-1)) == 49, "a disc of radius 4"


def test_limbs_are_blended_over_discs() -> None:
    made = pose_map(_person(right_shoulder=(100, 60), right_elbow=(100, 120)), (256, 256))
    assert made[90, 100, :3].tolist() == [0, 102, 153], "0.6 of 255, 170, 0, turned round"
    disc = np.array([0, 85, 255])  # the right shoulder's, turned round: of 255, 170, 0 it is the third
    assert made[60, 100, :3].any() and not np.array_equal(made[60, 100, :3], disc)


def test_a_map_means_the_same_at_every_size() -> None:
    large = pose_map(_person(neck=(100, 60), right_shoulder=(60, 80), right_hip=(80, 180)), (256, 192))
    small = pose_map(_person(neck=(50, 30), right_shoulder=(30, 40), right_hip=(40, 90)), (128, 96))
    difference = np.abs(large[::2, ::2].astype(int) - small)[..., 3:]
    assert difference.max() <= 2


def test_joints_out_of_the_picture_draw_what_is_in_it() -> None:
    made = pose_map(_person(right_shoulder=(-30, 20), right_elbow=(50, 20), nose=(-3, -3), neck=(400, 400)), (64, 64))
    assert made[20, 20, UPPER_ARM] == 0
    assert made[0, 0, :3].any()


def test_published_annotations_lose_their_border() -> None:
    rows = np.full((18, 2), -1.0)
    rows[0], rows[1] = (128, 64), (40, 256)
    joints = annotated(rows, (512, 352))
    assert joints[0].tolist() == [176, 128, 1]
    assert joints[1].tolist() == [0, 512, 1]
    assert (joints[2:] == 0).all()
