"""The pose that a person is to take is drawn, or the row says why not."""

from __future__ import annotations

import numpy as np
import torch

from atelier.closet import draw_look
from atelier.closet.outfits import outfit_for
from atelier.geometry.pose_map import pose_map
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.pose_map import PoseMap

SIZE = (128, 96)


def test_a_pose_is_drawn_and_a_pose_without_limbs_refused() -> None:
    look = draw_look(person=1, outfit=outfit_for(2), pose=3, size=SIZE)
    keypoints = np.stack([look.keypoints, np.zeros((25, 3), np.float32)])
    rows = {"item_id": ["a", "b"], "variant": [0, 0], "task": ["pose_transfer"] * 2, "seed": [1, 1]}
    chain = StageChain([PoseMap(size=SIZE).build(torch.device("cpu"))], batch_size=2)
    made = chain.run(new_batch({**rows, "target_keypoints": keypoints}))
    assert np.array_equal(made["pose_map"][0], pose_map(look.keypoints, SIZE))
    assert made["error_code"].tolist() == ["", "no_pose"] and made["error_rejected"].tolist() == [False, True]
    assert "target_keypoints" in made["error_detail"][1]
    assert not made["pose_map"][1].any()
