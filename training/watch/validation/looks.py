"""The parser and the keypoint network on dressed people whose maps and joints are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atelier.evaluation.agreement import confusion, correct_keypoints, mean_iou, pck
from atelier.models.parsing.labels import CIHP
from atelier.stages.chain import StageChain
from atelier.stages.parse import Parse
from atelier.stages.pose import Pose
from training.watch.validation.base import Drawn, DrawnRow, Validation
from training.watch.validation.colours import parse_colours, with_skeleton
from training.watch.validation.rows import failure, held_out_looks, num_failed, run_rows

_NEAR = 0.05
"""Of the person's height: how near a joint must be found."""


@dataclass(frozen=True, kw_only=True)
class ParseValidation(Validation):
    """The `parse` stage.

    Args:
        size: working size (H, W).
        batch_size: rows the stage sees at once.
    """

    size: tuple[int, int] = (256, 192)
    batch_size: int = 4

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        looks = held_out_looks(self.num_rows, self.seed, self.size)
        chain = StageChain([Parse(size=self.size, weights=str(weights)).build(device)], batch_size=self.batch_size)
        ids = _ids(self.num_rows)
        blank = np.zeros(self.size, np.uint8)
        columns = {
            "person": [look.image for look in looks],
            "given_parse": [blank for _ in looks],
            "has_parse": [np.bool_(False) for _ in looks],
        }
        batch = run_rows(chain, ids, columns)
        counts = np.zeros((len(CIHP), len(CIHP)), np.int64)
        drawn = []
        for index, look in enumerate(looks):
            own = confusion(batch["parse"][index], look.parse_cihp, len(CIHP))
            counts += own
            cells = (look.image, parse_colours(batch["parse"][index]), parse_colours(look.parse_cihp))
            note = failure(batch, index) or f"mIoU {mean_iou(own):.3f}"
            drawn.append(DrawnRow(item_id=ids[index], cells=cells, note=note))
        accuracy = float(np.trace(counts) / counts.sum())
        metrics = {"parse_miou": mean_iou(counts), "pixel_accuracy": accuracy, "failed": num_failed(batch)}
        return Drawn(headings=("person", "parse", "true parse"), rows=tuple(drawn), metrics=metrics)


@dataclass(frozen=True, kw_only=True)
class PoseValidation(Validation):
    """The `pose` stage.

    Args:
        size: working size (H, W).
        batch_size: rows the stage sees at once.
    """

    size: tuple[int, int] = (256, 192)
    batch_size: int = 4

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        looks = held_out_looks(self.num_rows, self.seed, self.size)
        chain = StageChain([Pose(weights=str(weights)).build(device)], batch_size=self.batch_size)
        ids = _ids(self.num_rows)
        blank = np.zeros((25, 3), np.float32)
        columns = {
            "person": [look.image for look in looks],
            "given_keypoints": [blank for _ in looks],
            "has_keypoints": [np.bool_(False) for _ in looks],
        }
        batch = run_rows(chain, ids, columns)
        truth = np.stack([look.keypoints for look in looks])
        found = batch["keypoints"]
        drawn = []
        for index, look in enumerate(looks):
            own = correct_keypoints(found[index : index + 1], truth[index : index + 1], share=_NEAR)
            cells = (look.image, with_skeleton(look.image, found[index]), with_skeleton(look.image, look.keypoints))
            note = failure(batch, index) or f"{int(own[0].sum())} of {int(own[1].sum())} joints"
            drawn.append(DrawnRow(item_id=ids[index], cells=cells, note=note))
        metrics = {
            "pose_pck": pck([correct_keypoints(found, truth, share=_NEAR)]),
            "joint_presence": float(((found[..., 2] > 0) == (truth[..., 2] > 0)).mean()),
            "failed": num_failed(batch),
        }
        return Drawn(headings=("person", "joints", "true joints"), rows=tuple(drawn), metrics=metrics)


def _ids(num_rows: int) -> list[str]:
    return [f"look-{index:05d}" for index in range(num_rows)]
