"""BlazePose without its networks: what lies around them, and what is said where they are missing or wrong."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError, WeightsError
from atelier.models.pose.blazepose_files import MODEL_NAME, check_blazepose, extract_blazepose
from atelier.models.pose.blazepose_geometry import (
    Detection,
    Region,
    anchors,
    best_detection,
    crop,
    landmarks_in_picture,
    whole_picture,
)
from atelier.models.pose.joints import body25_of_blazepose
from atelier.models.pose.loading import load_estimator
from atelier.weights import write_folder


def test_anchors_cover_the_input_stride_by_stride() -> None:
    centres = anchors()
    assert centres.shape == (2254, 2)
    assert np.allclose(centres[0], 4 / 224) and np.allclose(centres[0], centres[1])  # two a cell of 8 pixels
    assert np.allclose(centres[28 * 28 * 2], 8 / 224)
    assert np.allclose(centres[-1], 208 / 224) and np.allclose(centres[-6], centres[-1])  # six a cell of 32


def test_detection_is_averaged_over_the_anchors_of_one_person() -> None:
    region = whole_picture((1024, 768))
    logits, offsets = np.full(2254, -20.0, np.float32), np.zeros((2254, 12), np.float32)
    hips, rim = np.array([0.5, 0.55]), np.array([0.5, 0.1])
    for anchor, score, shift in ((1600, 3.0, 1.0), (1602, 3.0, -1.0), (40, 1.0, 90.0)):
        logits[anchor] = score
        box = np.array([0.5, 0.5]) + (1.0 if anchor == 40 else 0.0)  # the third is elsewhere
        offsets[anchor, :2], offsets[anchor, 2:4] = (box - anchors()[anchor]) * 224, 100
        offsets[anchor, 4:6] = (hips - anchors()[anchor]) * 224 + (shift, 0)
        offsets[anchor, 6:8] = (rim - anchors()[anchor]) * 224 + (shift, 0)
    found = best_detection(offsets, logits, region, min_score=0.5)
    assert found is not None and found.score == pytest.approx(1 / (1 + np.exp(-3)))
    assert np.allclose(found.hips, (384, 0.55 * 1024), atol=1e-2)
    assert np.allclose(found.rim, (384, 0.1 * 1024), atol=1e-2)
    assert best_detection(offsets, np.full(2254, -1e4, np.float32), region, min_score=0.5) is None


@pytest.mark.parametrize(("rim", "angle"), [((100, 50), 0), ((150, 100), 90), ((50, 100), -90), ((100, 150), 180)])
def test_region_turns_with_the_person(rim: tuple[float, float], angle: float) -> None:
    region = Detection(score=1.0, hips=(100.0, 100.0), rim=rim).region()
    assert region.side == pytest.approx(2 * 50 * 1.25)
    assert np.cos(region.angle - np.radians(angle)) == pytest.approx(1)
    # Straight above the middle of the square is where the person's head points.
    above = region.to_picture(np.array([[0.5, 0.1]]))[0] - (100, 100)
    assert np.allclose(above, (np.array(rim) - 100) * above.dot(np.array(rim) - 100) / 2500, atol=1e-6)


@pytest.mark.parametrize("side", [16, 200])  # finer than the picture, and coarser: then it is averaged first
def test_crop_sees_what_the_region_says(side: int) -> None:
    y, x = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(60) + 0.5, indexing="ij")
    picture = torch.stack([x, y, torch.ones_like(x)])
    region = Region(x=30, y=40, side=36, angle=0.5)
    seen = crop(picture, region, side).numpy()
    centres = (np.arange(side) + 0.5) / side
    wanted = region.to_picture(np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2))
    assert np.abs(seen[..., :2].reshape(-1, 2) - wanted).max() < 0.15
    assert crop(picture, Region(x=0, y=0, side=20), 8)[0, 0].abs().max() == 0  # outside of the picture


def test_landmarks_follow_their_heatmaps_and_the_region_back() -> None:
    region = Region(x=300, y=200, side=512, angle=0.3)
    values, heatmaps = np.zeros((39, 5), np.float32), np.full((64, 64, 39), -20, np.float32)
    values[:, :2], values[:, 3], values[:, 4] = 128, 4, 2
    heatmaps[30, 35, 0] = 6  # row, column: sure, beside the middle (32, 32)
    found = landmarks_in_picture(values, heatmaps, region)
    assert found.shape == (33, 3)
    assert np.allclose(found[1, :2], (300, 200))
    assert np.allclose(found[0, :2], region.to_picture(np.array([[35 / 64, 30 / 64]]))[0], atol=0.1)
    assert np.allclose(found[:, 2], 1 / (1 + np.exp(-2)))


def test_landmarks_in_body25() -> None:
    landmarks = np.stack([np.arange(33), 100 + np.arange(33), np.full(33, 0.9)], axis=1).astype(np.float32)
    landmarks[12, 2] = 0.4
    joints = body25_of_blazepose(landmarks)
    assert joints[2, 0] == 12 and joints[5, 0] == 11 and joints[4, 0] == 16 and joints[14, 0] == 27
    assert joints[15, 0] == 5 and joints[18, 0] == 7 and joints[19, 0] == 31 and joints[24, 0] == 30
    assert np.allclose(joints[1], (11.5, 111.5, 0.4)) and np.allclose(joints[8], (23.5, 123.5, 0.9))
    assert (joints[[20, 23]] == 0).all()


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, {"model": MODEL_NAME}, {})
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ConfigError, match=r"atelier\[pose\]"):
        load_estimator(tmp_path)


def test_wheels_without_the_known_models_are_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "mediapipe.whl"
    with pytest.raises(WeightsError, match="no such file"):
        extract_blazepose(wheel, tmp_path / "out")
    wheel.write_bytes(b"not a zip")
    with pytest.raises(WeightsError, match="is not a wheel"):
        extract_blazepose(wheel, tmp_path / "out")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/__init__.py", "")
    with pytest.raises(WeightsError, match=r"pose_detection\.tflite.*0\.10\.5 to 0\.10\.21"):
        extract_blazepose(wheel, tmp_path / "out")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/modules/pose_detection/pose_detection.tflite", "x")
        archive.writestr("mediapipe/modules/pose_landmark/pose_landmark_full.tflite", "y")
    with pytest.raises(WeightsError, match=r"pose_detection\.tflite is not the known model: its sha256"):
        extract_blazepose(wheel, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_was_not_extracted_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, {"model": MODEL_NAME}, {})
    with pytest.raises(WeightsError, match="make the folder again"):
        check_blazepose(tmp_path)
