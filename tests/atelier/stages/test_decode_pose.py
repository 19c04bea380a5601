"""What pose transfer and text-to-person read: poses by file, picture and name, maps of regions, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from atelier import poses
from atelier.closet import Outfit, bottom_seed, draw_look
from atelier.closet.files import jpeg, labels_png
from atelier.closet.outfits import outfit_for, top_seed
from atelier.closet.pose_pack import OUTFITS, POSES, in_clothes, pose_files
from atelier.errors import NotFound, RowError
from atelier.images import Frame, decode_labels
from atelier.skeletons import read_openpose, write_openpose
from atelier.stages.base import Faults
from atelier.stages.decode_regions import DecodeRegions
from atelier.stages.decode_source import DecodeSource
from atelier.stages.target import Target

SIZE = (128, 96)
LOOK = draw_look(person=5, outfit=Outfit(top=top_seed(1), bottom=bottom_seed(2)), pose=3, size=SIZE)
CPU = torch.device("cpu")


def decoded(**cells: bytes) -> dict[str, Any]:
    given = {"person_bytes": jpeg(LOOK.image), **cells}
    return dict(DecodeSource(size=SIZE).build(CPU).run_row(given))


def test_the_pack_is_what_the_closet_draws() -> None:
    assert set(poses.names()) == set(POSES) and {"", *poses.outfits()} == set(OUTFITS)
    assert len(poses.names("pose_map")) == len(POSES) * len(OUTFITS)
    drawn = pose_files("seated")
    assert len(drawn) == 1 + len(OUTFITS)
    for file, content in drawn.items():
        stem, _, suffix = file.partition(".")
        assert content == poses.read(f"pose:{stem}", "pose" if suffix == "json" else "pose_map"), file
    assert poses.digest("pose:seated") != poses.digest("pose:standing") and not poses.digest("pose:levitating")
    with pytest.raises(NotFound, match="is no pose of the pack, which has arm_raised, arms_crossed"):
        poses.read("pose:levitating", "pose")
    assert poses.digest("pose:seated_dress") not in ("", poses.digest("pose:seated"))
    with pytest.raises(NotFound, match="each also in other clothes as NAME_dress, NAME_jacket, NAME_shorts"):
        poses.read("pose:levitating", "pose_map")
    with pytest.raises(NotFound, match="is no pose of the pack"):
        poses.read("pose:seated_dress", "pose")


@pytest.mark.parametrize("outfit", poses.outfits())
def test_a_map_in_other_clothes_shows_them(outfit: str) -> None:
    bare = {"dress": 4, "jacket": 2, "shorts": 5, "skirt": 3}
    for name in poses.names():
        plain, worn = (decode_labels(poses.read(f"pose:{name}{end}", "pose_map")) for end in ("", f"_{outfit}"))
        assert (worn == bare[outfit]).sum() > 1000
        assert (plain == bare[outfit]).any() == (outfit == "shorts")
        head = np.isin(plain, (13, 14))
        assert (head == np.isin(worn, (13, 14))).mean() > 0.99


def test_a_bare_sentence_finds_its_map() -> None:
    seeds = range(200)
    names = {in_clothes("standing", outfit_for(seed)) for seed in seeds}
    assert (
        names == {"standing", *(f"standing_{outfit}" for outfit in OUTFITS if outfit)} <= set(poses.names("pose_map"))
    )


def test_keypoints_of_the_picture_itself_stay_where_they_are() -> None:
    row = decoded(pose_bytes=write_openpose(LOOK.keypoints))
    seen = LOOK.keypoints[:, 2] > 0
    assert row["has_pose"] and not row["pose_picture"].any()
    np.testing.assert_allclose(row["given_pose"][seen], LOOK.keypoints[seen], atol=2e-3)


@pytest.mark.parametrize("name", poses.names())
def test_a_named_pose_lies_whole_in_a_square_picture(name: str) -> None:
    square = np.full((100, 100, 3), 200, np.uint8)
    row = decoded(person_bytes=jpeg(square), pose_bytes=poses.read(poses.address(name), "pose"))
    frame, joints = Frame.from_vector(row["frame"]), row["given_pose"]
    seen = joints[joints[:, 2] > 0]
    assert len(seen) >= 15
    assert (seen[:, 1] >= frame.top).all() and (seen[:, 1] <= frame.top + frame.height).all()


def test_joints_far_outside_without_a_canvas_are_brought_in() -> None:
    far = LOOK.keypoints.copy()
    far[far[:, 2] > 0, :2] = far[far[:, 2] > 0, :2] * 30 + 5000
    joints = decoded(pose_bytes=write_openpose(far))["given_pose"]
    seen = joints[:, 2] > 0
    assert (joints[seen, :2] >= 0).all() and (joints[seen, :2] <= SIZE[::-1]).all()
    span, before = np.ptp(joints[seen, :2], 0), np.ptp(LOOK.keypoints[seen, :2], 0)
    assert span[0] / span[1] == pytest.approx(before[0] / before[1], rel=0.02), "undistorted"


@pytest.mark.parametrize(
    ("pose", "said"),
    [
        (b'{"people": []}', "pose: holds no joint"),
        (b'{"people": [{"pose_keypoints_2d": [1, 2]}]}', "must be 75"),
        (b"not a file of any kind", "neither an OpenPose JSON nor a picture"),
        (
            json.dumps({**json.loads(write_openpose(LOOK.keypoints)), "canvas_height": 0, "canvas_width": 5}).encode(),
            "canvas_height and canvas_width are",
        ),
    ],
)
def test_a_pose_that_is_none_is_refused(pose: bytes, said: str) -> None:
    with pytest.raises(RowError, match=said) as error:
        decoded(pose_bytes=pose)
    assert error.value.code == "pose_invalid"


def test_a_picture_of_a_pose_is_looked_at_and_keypoints_are_not() -> None:
    rows = [decoded(pose_bytes=jpeg(LOOK.image)), decoded(pose_bytes=write_openpose(LOOK.keypoints))]
    rows.append(decoded(pose_bytes=jpeg(np.full((64, 64, 3), 128, np.uint8))))
    columns = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0] if name != "frame"}
    faults = Faults()
    stage = Target(weights="pose_closet").build(CPU)
    found = stage.run_tensors({name: columns[name] for name in stage.reads}, faults)["target_keypoints"].numpy()
    assert set(faults.by_row) == {2} and faults.by_row[2].code == "pose_not_found"
    seen = (LOOK.keypoints[:, 2] > 0) & (found[0, :, 2] > 0)
    assert seen.sum() >= 12
    distances = np.linalg.norm(found[0, seen, :2] - LOOK.keypoints[seen, :2], axis=1)
    assert np.median(distances) < 0.04 * SIZE[0]
    np.testing.assert_array_equal(found[1], rows[1]["given_pose"])
    with_none = Target(weights=None).build(CPU)
    alone = Faults()
    with_none.run_tensors({name: columns[name] for name in stage.reads}, alone)
    assert {error.code for error in alone.by_row.values()} == {"pose_needed"} and set(alone.by_row) == {0, 2}


def regions_of(labels: np.ndarray) -> dict[str, Any]:
    return dict(DecodeRegions(size=SIZE).build(CPU).run_row({"pose_map_bytes": labels_png(labels)}))


def test_a_map_of_regions_is_scaled_as_a_whole() -> None:
    row = regions_of(np.kron(LOOK.parse_multimodal, np.ones((2, 2), np.uint8)))
    np.testing.assert_array_equal(row["regions"], LOOK.parse_multimodal)
    assert Frame.from_vector(row["frame"]).source_height == 2 * SIZE[0]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.full((64, 48), 31, np.uint8), "holds the label 31; every pixel must be one of the regions 0 to 23"),
        (np.zeros((64, 48), np.uint8), "is all background"),
        (np.ones((8, 8), np.uint8), "is 8x8 pixels, must be at least 16"),
    ],
)
def test_a_map_that_is_none_is_refused(labels: np.ndarray, said: str) -> None:
    with pytest.raises(RowError, match=said) as error:
        regions_of(labels)
    assert error.value.code == "pose_map_invalid"


def test_the_packs_joints_and_map_are_of_one_figure() -> None:
    for name in poses.names():
        joints = read_openpose(poses.read(poses.address(name), "pose"))
        assert joints is not None
        labels = poses.read(poses.address(name), "pose_map")
        row = DecodeRegions(size=(512, 384)).build(CPU).run_row({"pose_map_bytes": labels})
        shoulders = joints[[2, 5]]
        assert all(row["regions"][int(y), int(x)] for x, y, seen in shoulders if seen > 0)
