"""The agnostic person and parse: the published radii at 1024x768, their scaling, and joints that are missing."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.errors import RowError
from atelier.geometry.agnostic import GRAY, agnostic_parse, agnostic_person
from atelier.geometry.joints import L_HIP, MID_HIP, NECK, R_HIP, R_SHOULDER, torso_joints

FULL = (1024, 768)


@pytest.fixture
def keypoints() -> np.ndarray:
    """A person at 1024x768, frontal, arms hanging, hips half as wide as the shoulders."""
    return standing()


def standing() -> np.ndarray:
    joints = {0: (384, 150), 1: (384, 240), 2: (284, 240), 3: (264, 380), 4: (244, 520), 5: (484, 240), 6: (504, 380)}
    joints |= {7: (524, 520), 8: (384, 560), 9: (334, 560), 10: (334, 760), 11: (334, 950), 12: (434, 560)}
    joints |= {13: (434, 760), 14: (434, 950)}
    keypoints = np.zeros((25, 3), np.float32)
    for joint, (x, y) in joints.items():
        keypoints[joint] = (x, y, 1)
    return keypoints


def shrunk(keypoints: np.ndarray, share: float) -> np.ndarray:
    return keypoints * np.array([share, share, 1], np.float32)


def hidden(keypoints: np.ndarray, size: tuple[int, int], label: int = 5) -> np.ndarray:
    """Where the agnostic person is gray, on a white person whose pixels all have one label."""
    person = np.full((*size, 3), 255, np.uint8)
    covered = agnostic_person(person, np.full(size, label, np.uint8), keypoints)
    assert set(np.unique(covered)) <= {GRAY, 255}
    return (covered == GRAY).all(-1)


def removed(keypoints: np.ndarray, size: tuple[int, int], label: int) -> np.ndarray:
    """Where the agnostic parse loses an arm, on a map that has nothing but that arm."""
    return agnostic_parse(np.full(size, label, np.uint8), keypoints) == 0


def test_the_cover_has_the_published_radii(keypoints: np.ndarray) -> None:
    gray = hidden(keypoints, FULL)
    # The neck's square reaches 140 pixels each way: its corners show above and beside the shoulders' strokes.
    assert gray[100, 244] and gray[100, 524] and not gray[98, 244] and not gray[100, 242]
    # Arms are strokes 200 wide with discs of radius 100: a wrist's disc ends 100 pixels beside it.
    assert gray[520, 623] and not gray[520, 626]
    # The hips' strokes end where the ellipses do, 120 below: hips were moved apart to the shoulders' 200.
    assert gray[679, 284] and not gray[682, 284]
    # Below the wrists' discs nothing but the hips' ellipses is left, 44.7 to each side 80 below their middle.
    assert gray[640, 241] and not gray[640, 236]


def test_arms_leave_the_parse_up_to_the_wrist_and_hands_stay(keypoints: np.ndarray) -> None:
    left = removed(keypoints, FULL, 14)
    # Elbow: radius 150. Wrist: radius 40, so that a hand below it stays.
    assert left[380, 504 + 149] and not left[380, 504 + 152]
    assert left[559, 524] and not left[562, 524]
    # The stroke starts at the far shoulder, where there is no disc: 100 wide, 50 to each side.
    assert left[240 - 48, 300] and not left[240 - 52, 300] and not left[240, 280]
    assert removed(keypoints, FULL, 15)[380, 264 - 149]


def test_only_its_own_label_leaves_an_arm(keypoints: np.ndarray) -> None:
    parse = np.full(FULL, 14, np.uint8)
    parse[:, :384] = 16
    assert not (agnostic_parse(parse, keypoints)[:, :384] == 0).any()


def test_the_parse_has_vitons_thirteen_classes(keypoints: np.ndarray) -> None:
    parse = np.zeros(FULL, np.uint8)
    parse[-20:] = np.arange(768) * 20 // 768
    bottom = agnostic_parse(parse, keypoints)[-1]
    found = [int(bottom[parse[-1] == label][0]) for label in range(20)]
    assert found == [0, 1, 1, 12, 2, 0, 0, 0, 11, 4, 0, 12, 4, 2, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("label", [4, 9, 12, 13, 16, 17, 18, 19])
def test_face_and_lower_body_are_pasted_back(keypoints: np.ndarray, label: int) -> None:
    assert not hidden(keypoints, (256, 192), label).any()


@pytest.mark.parametrize("label", [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 14, 15])
def test_nothing_else_is_pasted_back_not_even_hair(keypoints: np.ndarray, label: int) -> None:
    small = shrunk(keypoints, 0.25)
    assert np.array_equal(hidden(small, (256, 192), label), hidden(small, (256, 192), 5))


@pytest.mark.parametrize("height", [512, 256])
def test_radii_scale_with_the_height(keypoints: np.ndarray, height: int) -> None:
    size, share = (height, height * 3 // 4), height / 1024
    for shape in (lambda k, s: hidden(k, s), lambda k, s: removed(k, s, 14)):
        full, small = shape(keypoints, FULL), shape(shrunk(keypoints, share), size)
        step = 1024 // height
        assert (full[step // 2 :: step, step // 2 :: step] != small).mean() < 0.015


def test_the_hips_move_for_the_person_and_not_for_the_parse(keypoints: np.ndarray) -> None:
    before = keypoints.copy()
    person, parse = np.full((*FULL, 3), 255, np.uint8), np.full(FULL, 14, np.uint8)
    first = agnostic_parse(parse, keypoints)
    agnostic_person(person, parse, keypoints)
    assert np.array_equal(keypoints, before)
    assert np.array_equal(agnostic_parse(parse, keypoints), first)
    wider = keypoints.copy()
    wider[[R_HIP, L_HIP], 0] = (304, 464)
    assert np.array_equal(hidden(wider, FULL), hidden(keypoints, FULL))


def test_a_missing_elbow_skips_the_strokes_that_need_it(keypoints: np.ndarray) -> None:
    keypoints[6] = 0
    left = removed(keypoints, FULL, 14)
    # The parse goes on from shoulder to wrist; the person's cover has neither stroke of that arm.
    assert left[380, 504] and not left[380, 504 + 100]
    gray = hidden(keypoints, FULL)
    assert gray[520, 244] and not gray[520, 620]


def test_missing_joints_of_the_torso_are_estimated() -> None:
    whole = torso_joints(standing())
    for missing in ([R_HIP], [L_HIP], [NECK], [R_SHOULDER], [R_HIP, L_HIP]):
        keypoints = standing()
        keypoints[missing] = 0
        joints = torso_joints(keypoints)
        distance = np.linalg.norm(joints[missing] - whole[missing], axis=1)
        assert (distance <= 50).all(), missing
        assert hidden(keypoints, FULL).mean() > 0.2


def test_a_portrait_gets_hips_below_the_shoulders() -> None:
    keypoints = standing()
    keypoints[8:] = 0
    joints = torso_joints(keypoints)
    assert np.allclose(joints[[R_HIP, L_HIP]], [(284, 560), (484, 560)])
    behind = keypoints.copy()
    behind[[2, 5]] = keypoints[[5, 2]]
    assert np.allclose(torso_joints(behind)[[R_HIP, L_HIP]], [(484, 560), (284, 560)])


def test_one_hip_without_the_middle_lies_along_the_shoulders() -> None:
    keypoints = standing()
    keypoints[[R_HIP, MID_HIP]] = 0
    assert torso_joints(keypoints)[R_HIP].tolist() == [234, 560]


def test_hips_on_one_pixel_stay_there(keypoints: np.ndarray) -> None:
    keypoints[L_HIP] = keypoints[R_HIP]
    assert hidden(keypoints, FULL).any()


@pytest.mark.parametrize("missing", [range(25), [1, 2], [2, 5], [1, 2, 5]])
def test_no_torso_no_picture(missing: list[int]) -> None:
    keypoints = standing()
    keypoints[list(missing)] = 0
    with pytest.raises(RowError) as error:
        agnostic_parse(np.zeros(FULL, np.uint8), keypoints)
    assert error.value.code == "no_person" and error.value.rejected
