"""The rendered skeleton: OpenPose's colours, widths and blending, at any size."""

from __future__ import annotations

import numpy as np

from atelier.geometry.pose_image import pose_image

FULL = (1024, 768)


def of(joints: dict[int, tuple[float, float]]) -> np.ndarray:
    keypoints = np.zeros((25, 3), np.float32)
    for joint, (x, y) in joints.items():
        keypoints[joint] = (x, y, 1)
    return keypoints


def test_nobody_is_black() -> None:
    assert not pose_image(np.zeros((25, 3), np.float32), FULL).any()


def test_a_joint_is_a_disc_in_its_colour() -> None:
    # A second joint 400 pixels away makes the person large enough to be drawn at full width.
    picture = pose_image(of({4: (300, 300), 14: (300, 700)}), FULL)
    assert picture[300, 300].tolist() == [153, 153, 0]  # the wrist's (255, 255, 0) at 0.6
    assert picture[700, 300].tolist() == [0, 0, 153]
    assert picture[300, 307].any() and not picture[300, 308].any()  # radius 7.68


def test_a_limb_is_an_ellipse_in_the_colour_of_its_far_joint() -> None:
    picture = pose_image(of({2: (300, 200), 3: (300, 600)}), FULL)
    assert picture[400, 300].tolist() == [153, 102, 0]  # the elbow's (255, 170, 0)
    assert picture[400, 306].any() and not picture[400, 307].any()  # half-width 6.4
    assert picture[250, 304].any() and not picture[250, 305].any()  # narrower towards the ends: 4.2


def test_later_strokes_are_blended_over_earlier_ones() -> None:
    picture = pose_image(of({2: (300, 200), 3: (300, 600)}), FULL)
    over = 0.4 * np.array([153, 102, 0]) + 0.6 * np.array([255, 170, 0])
    assert np.abs(picture[598, 300] - over).max() <= 1


def test_small_people_get_thin_limbs() -> None:
    picture = pose_image(of({2: (300, 200), 3: (300, 300)}), FULL)  # 100 of 400 pixels: the least, 0.33
    assert picture[250, 302].any() and not picture[250, 303].any()


def test_joints_of_no_confidence_and_outside_the_picture_are_left_out() -> None:
    keypoints = of({2: (300, 200), 3: (300, 600), 4: (-500, 4000)})
    keypoints[3, 2] = 0.05
    picture = pose_image(keypoints, FULL)
    assert picture[200, 300].any() and not picture[400, 300].any()


def test_two_joints_on_one_pixel_are_two_discs() -> None:
    assert pose_image(of({2: (30, 20), 3: (30, 20)}), (256, 192)).any()


def test_the_drawing_scales_with_the_picture() -> None:
    joints = {0: (384, 150), 1: (384, 240), 2: (284, 240), 3: (264, 380), 4: (244, 520), 8: (384, 560)}
    full = pose_image(of(joints), FULL)
    half = pose_image(of({joint: (x / 2, y / 2) for joint, (x, y) in joints.items()}), (512, 384))
    assert np.array_equal(full[::2, ::2], half)
