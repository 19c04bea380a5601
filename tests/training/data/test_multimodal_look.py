"""DeepFashion-MultiModal's labels and joints become CIHP and BODY_25, checked where both are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.closet import draw_look, outfit_for
from atelier.models.human_diffusion.regions import REGIONS
from atelier.models.parsing.labels import CIHP
from atelier.skeletons import BODY_25, COCO_18
from training.data.look import LookColumns
from training.data.multimodal_look import as_look, body25_of, cihp_of

_JOINTS = [BODY_25.index(name) for name in (*COCO_18, "mid_hip", "left_big_toe", "right_big_toe")]


def look(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """A sample as the release has it, and its true parse and keypoints."""
    drawn = draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=(256, 192))
    sample = {"person": drawn.image, "parse": drawn.parse_multimodal, "keypoints": drawn.keypoints[_JOINTS]}
    return sample, drawn.parse_cihp, drawn.keypoints


def test_drawn_people_get_their_true_labels() -> None:
    right, of = 0, 0
    for seed in range(12):
        sample, parse, _ = look(seed)
        found = as_look(sample)["parse"]
        plain = ~np.isin(sample["parse"], [REGIONS.index("skin"), REGIONS.index("footwear")])
        assert np.array_equal(found[plain], parse[plain])
        right += int((found == parse)[~plain].sum())
        of += int((~plain).sum())
    assert right / of > 0.9


def test_joints_find_their_names() -> None:
    sample, _, keypoints = look(3)
    found = body25_of(sample["keypoints"])
    assert np.array_equal(found[_JOINTS], keypoints[_JOINTS])
    assert not found[[joint for joint in range(25) if joint not in _JOINTS]].any()


def test_skin_without_joints_is_the_torsos() -> None:
    regions = np.full((4, 4), REGIONS.index("skin"), np.uint8)
    assert (cihp_of(regions, np.zeros((25, 3), np.float32)) == CIHP.index("torso_skin")).all()


@pytest.mark.parametrize(
    ("region", "label"), [("bag", "background"), ("rompers", "dress"), ("leggings", "pants"), ("tie", "upper")]
)
def test_regions_that_cihp_lacks(region: str, label: str) -> None:
    regions = np.full((2, 2), REGIONS.index(region), np.uint8)
    assert (cihp_of(regions, np.zeros((25, 3), np.float32)) == CIHP.index(label)).all()


def test_parser_and_keypoint_runs_read_it() -> None:
    sample, parse, keypoints = look(4)
    columns = LookColumns()(sample, np.random.default_rng(5))
    wanted = LookColumns()({**sample, "parse": parse, "keypoints": keypoints}, np.random.default_rng(5))
    assert columns["keypoints"].shape == (25, 3)
    assert np.array_equal(columns["person"], wanted["person"])
    assert (columns["parse"] == wanted["parse"]).mean() > 0.97
