"""People out of sentences and maps of regions, beside the people that these were taken from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from atelier.evaluation.pictures import compare
from atelier.stages.chain import StageChain
from atelier.stages.human_diffusion import SynthesizeHumanDiffusion
from training.steps.initial import memory_of
from training.watch.validation.base import Drawn, DrawnRow, Validation
from training.watch.validation.colours import region_colours
from training.watch.validation.rows import failure, held_out_looks, num_failed, run_rows


@dataclass(frozen=True, kw_only=True)
class TextToPersonValidation(Validation):
    """HumanDiffusion's `synthesize` stage on held-out people's captions and regions.

    Words do not tell a shade or a print in full, so no picture can equal the true one; colours inside the person can be
    near it.

    Args:
        size: working size (H, W).
        memory: what regions are retrieved from, named as the training step names it; "" goes by words alone.
        batch_size: rows the stage sees at once.
        mode: of sampling.
    """

    size: tuple[int, int] = (128, 96)
    memory: str = ""
    batch_size: int = 4
    mode: str = "balanced"

    def among(self, runs: Path) -> Self:
        return dataclasses.replace(self, memory=str(memory_of(self.memory, runs))) if self.memory else self

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        looks = held_out_looks(self.num_rows, self.seed, self.size)
        stage = SynthesizeHumanDiffusion(
            size=self.size, weights=str(weights), memory=self.memory or None, mode=self.mode
        )
        ids = [f"look-{index:05d}" for index in range(self.num_rows)]
        columns = {"regions": [look.parse_multimodal for look in looks], "prompt": [look.caption for look in looks]}
        batch = run_rows(StageChain([stage.build(device)], batch_size=self.batch_size), ids, columns)
        drawn, inside = [], []
        for index, look in enumerate(looks):
            picture = batch["image"][index]
            scores = compare(picture, look.image).scores(look.parse_multimodal > 0)
            inside.append(scores)
            note = failure(batch, index) or f"SSIM {scores.ssim:.3f}  CIEDE2000 {scores.ciede2000:.1f}"
            cells = (region_colours(look.parse_multimodal), picture, look.image)
            drawn.append(DrawnRow(item_id=ids[index], cells=cells, note=note, picture=picture))
        metrics = {
            "person_ssim": float(np.mean([scores.ssim for scores in inside])),
            "person_psnr": float(np.mean([scores.psnr for scores in inside])),
            "person_ciede2000": float(np.mean([scores.ciede2000 for scores in inside])),
            "failed": num_failed(batch),
        }
        return Drawn(headings=("regions", "made of words", "true answer"), rows=tuple(drawn), metrics=metrics)
