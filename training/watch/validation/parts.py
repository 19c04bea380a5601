"""The first two networks of a try-on alone: where everything will lie, and how the garment bends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atelier.evaluation.agreement import confusion, iou_by_class, mean_iou
from atelier.evaluation.held_out import HeldOutTryOn
from atelier.evaluation.pictures import compare
from atelier.models.viton_hd import VitonHD, VitonHDConfig
from atelier.models.viton_hd.layout import LAYOUT_OF_AGNOSTIC, NUM_LAYOUT_CLASSES, UPPER
from atelier.stages.agnostic import Agnostic
from atelier.stages.chain import StageChain
from atelier.stages.layout import Layout
from atelier.stages.warp import Warp
from atelier.weights import write_folder
from training.data.try_on import CLASS_OF_CIHP
from training.watch.validation.base import Drawn, DrawnRow
from training.watch.validation.bending import bent_garments, bent_masks
from training.watch.validation.colours import GROUND, layout_colours
from training.watch.validation.rows import TryOnRowsValidation, failure, num_failed, run_rows

_NETWORKS = ("segmentation", "matching", "alias")
_LAYOUT_OF_CIHP = np.array(LAYOUT_OF_AGNOSTIC, dtype=np.uint8)[CLASS_OF_CIHP]


@dataclass(frozen=True, kw_only=True)
class LayoutValidation(TryOnRowsValidation):
    """The `layout` stage on people in a top they are to change, their maps given."""

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        _complete(weights)
        rows = self.rows()
        stages = (Agnostic(size=self.size), Layout(size=self.size, weights=str(weights)))
        chain = StageChain([stage.build(device) for stage in stages], batch_size=self.batch_size)
        items = [row.item for row in rows]
        batch = run_rows(chain, [row.item_id for row in rows], _given(items))
        counts = np.zeros((NUM_LAYOUT_CLASSES, NUM_LAYOUT_CLASSES), np.int64)
        drawn = []
        for index, row in enumerate(rows):
            layout, truth = batch["layout"][index], true_layout(row.item)
            own = confusion(layout, truth, NUM_LAYOUT_CLASSES)
            counts += own
            cells = (
                *(row.item.person, row.item.garment, batch["agnostic_person"][index]),
                *(layout_colours(layout), layout_colours(truth)),
            )
            note = failure(batch, index) or f"garment IoU {iou_by_class(own)[UPPER]:.3f}"
            drawn.append(DrawnRow(item_id=row.item_id, cells=cells, note=note))
        metrics = {
            "layout_miou": mean_iou(counts),
            "garment_iou": float(iou_by_class(counts)[UPPER]),
            "failed": num_failed(batch),
        }
        headings = ("person", "garment", "agnostic person", "layout", "true layout")
        return Drawn(headings=headings, rows=tuple(drawn), metrics=metrics)


@dataclass(frozen=True, kw_only=True)
class WarpValidation(TryOnRowsValidation):
    """The `warp` stage on true layouts, so that it is judged alone."""

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        _complete(weights)
        rows = self.rows()
        stage = Warp(size=self.size, weights=str(weights))
        stages = (Agnostic(size=self.size), stage)
        chain = StageChain([one.build(device) for one in stages], batch_size=self.batch_size)
        items = [row.item for row in rows]
        columns = _given(items) | {"layout": [true_layout(item) for item in items]}
        batch = run_rows(chain, [row.item_id for row in rows], columns)
        bent, masks = bent_garments(stage, batch, device), bent_masks(stage, batch, device)
        drawn, ious, ssims, colours = [], [], [], []
        for index, row in enumerate(rows):
            worn = row.item.true_silhouette
            truth = np.where(worn[..., None], row.item.truth, np.array(GROUND, np.uint8))
            ious.append(float((masks[index] & worn).sum() / (masks[index] | worn).sum()))
            scores = compare(bent[index], truth).scores(worn)
            ssims.append(scores.ssim)
            colours.append(scores.ciede2000)
            cells = (row.item.person, row.item.garment, bent[index], truth, row.item.truth)
            note = failure(batch, index) or f"IoU {ious[-1]:.3f}  SSIM {scores.ssim:.3f}"
            drawn.append(DrawnRow(item_id=row.item_id, cells=cells, note=note))
        metrics = {
            "garment_iou": float(np.mean(ious)),
            "garment_ssim": float(np.mean(ssims)),
            "garment_ciede2000": float(np.mean(colours)),
            "failed": num_failed(batch),
        }
        headings = ("person", "garment", "bent garment", "garment as worn", "true answer")
        return Drawn(headings=headings, rows=tuple(drawn), metrics=metrics)


def true_layout(item: HeldOutTryOn) -> np.ndarray:
    """The layout of the true answer, uint8 ids 0..6 [H, W]."""
    return _LAYOUT_OF_CIHP[item.true_parse]


def _given(items: Sequence[HeldOutTryOn]) -> dict[str, Sequence[Any]]:
    return {
        "person": [item.person for item in items],
        "garment": [item.garment for item in items],
        "garment_mask": [item.garment_mask for item in items],
        "parse": [item.parse for item in items],
        "keypoints": [item.keypoints for item in items],
    }


def _complete(folder: Path) -> None:
    """Adds untrained networks for those that the folder lacks: stages load all three, and run only their own."""
    missing = [stem for stem in _NETWORKS if not (folder / f"{stem}.safetensors").is_file()]
    if missing:
        config = VitonHDConfig.from_folder(folder)
        model = VitonHD(config)
        states = {stem: model.get_submodule(stem).state_dict() for stem in missing}
        write_folder(folder, config.to_json(), states, dtype=torch.float16)
