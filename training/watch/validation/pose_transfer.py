"""People in another pose, beside their true pictures in it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atelier.evaluation.people.held_out import HeldOutTransfer, held_out_transfers
from atelier.evaluation.pictures import compare
from atelier.models.pidm.config import Guidance
from atelier.models.truepose.sampling import SOURCE_SCALE
from atelier.stages.base import Batch
from atelier.stages.chain import StageChain
from atelier.stages.pidm import SynthesizePidm
from atelier.stages.pose_map import PoseMap
from atelier.stages.truepose import SynthesizeTruePose
from training.watch.validation.base import Drawn, DrawnRow, Validation
from training.watch.validation.colours import GROUND, with_skeleton
from training.watch.validation.rows import failure, num_failed, run_rows


@functools.lru_cache(maxsize=2)
def transfer_rows(num_rows: int, seed: int, size: tuple[int, int]) -> tuple[HeldOutTransfer, ...]:
    """The first held-out transfers of a seed, drawn once a process."""
    return tuple(held_out_transfers(num_rows, seed=seed, size=size))


@dataclass(frozen=True, kw_only=True)
class PidmValidation(Validation):
    """PIDM's `pose_map` and `synthesize` stages on held-out people, once alone and once guided.

    Args:
        size: working size (H, W).
        batch_size: rows the stage sees at once.
        mode: of sampling.
        guidance: of the guided picture, which is also the one that is scored.
        pose_scale, style_scale: of that guidance.
    """

    size: tuple[int, int] = (128, 96)
    batch_size: int = 4
    mode: str = "balanced"
    guidance: Guidance = "released"
    pose_scale: float = 2.0
    style_scale: float = 2.0

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        rows = transfer_rows(self.num_rows, self.seed, self.size)
        ids = [row.item_id for row in rows]
        columns = {
            "person": [row.source for row in rows],
            "target_keypoints": [row.true_keypoints for row in rows],
        }
        pose_map = PoseMap(size=self.size)
        alone = SynthesizePidm(size=self.size, weights=str(weights), mode=self.mode, guidance="none")
        guided = SynthesizePidm(
            size=self.size,
            weights=str(weights),
            mode=self.mode,
            guidance=self.guidance,
            pose_scale=self.pose_scale,
            style_scale=self.style_scale,
        )
        made = [
            run_rows(
                StageChain([pose_map.build(device), stage.build(device)], batch_size=self.batch_size), ids, columns
            )
            for stage in (alone, guided)
        ]
        return _beside_truth(rows, made)


@dataclass(frozen=True, kw_only=True)
class TruePoseValidation(Validation):
    """TruePose's `synthesize` stage on held-out people, with the true parses of their sources.

    Args:
        size: working size (H, W).
        batch_size: rows the stage sees at once.
        mode: of sampling.
        source_scale: of guidance, for the guided picture, which is also the one that is scored.
    """

    size: tuple[int, int] = (128, 96)
    batch_size: int = 4
    mode: str = "fast"
    source_scale: float = SOURCE_SCALE

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        rows = transfer_rows(self.num_rows, self.seed, self.size)
        ids = [row.item_id for row in rows]
        columns = {
            "person": [row.source for row in rows],
            "parse": [row.source_parse for row in rows],
            "target_keypoints": [row.true_keypoints for row in rows],
        }
        made = [
            run_rows(StageChain([stage.build(device)], batch_size=self.batch_size), ids, columns)
            for stage in (
                SynthesizeTruePose(size=self.size, weights=str(weights), mode=self.mode, source_scale=scale)
                for scale in (1.0, self.source_scale)
            )
        ]
        return _beside_truth(rows, made)


def _beside_truth(rows: Sequence[HeldOutTransfer], made: Sequence[Batch]) -> Drawn:
    """Rows and scores of what was made unguided and guided, in this order."""
    blank = np.full_like(rows[0].source, GROUND)
    drawn, inside = [], []
    for index, row in enumerate(rows):
        unguided, picture = (batch["image"][index] for batch in made)
        scores = compare(picture, row.truth).scores(row.person)
        inside.append((scores, compare(unguided, row.truth).scores(row.person)))
        note = failure(made[1], index) or f"SSIM {scores.ssim:.3f}  CIEDE2000 {scores.ciede2000:.1f}"
        cells = (row.source, with_skeleton(blank, row.true_keypoints), unguided, picture, row.truth)
        drawn.append(DrawnRow(item_id=row.item_id, cells=cells, note=note, picture=picture))
    metrics = {
        f"{who}_{name}": float(np.mean([getattr(scores[place], name) for scores in inside]))
        for place, who in enumerate(("person", "unguided_person"))
        for name in ("ssim", "psnr", "ciede2000")
    }
    headings = ("source", "pose", "unguided", "guided", "true answer")
    return Drawn(headings=headings, rows=tuple(drawn), metrics=metrics | {"failed": num_failed(made[1])})
