"""Whole try-ons by a recipe's own stages, judged against true answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from atelier.evaluation.try_on import Judgement, judged
from atelier.recipe import Recipe
from atelier.recipes import try_on
from atelier.stages.base import Batch
from atelier.stages.synthesize import Synthesize
from training.watch.validation.base import Drawn, DrawnRow
from training.watch.validation.bending import bent_garments
from training.watch.validation.colours import layout_colours
from training.watch.validation.rows import TryOnRowsValidation, failure, num_failed, run_rows

_HEADINGS = ("person", "garment", "layout", "bent garment", "try-on", "true answer")


@dataclass(frozen=True, kw_only=True)
class TryOnValidation(TryOnRowsValidation):
    """The rows of a closet catalog through `decode` to `inspect`, as `pipelines` runs them: equal weights, threads and
    batch shape make equal pictures there.

    Args:
        parser, pose: weights for rows without maps, which is every second one; None for both gives maps to all rows.
        repaint: as the recipe's `synthesize` stage does.
        check_parse: as the recipe's `parse` stage does.
    """

    parser: str | None = "parser_closet"
    pose: str | None = "pose_closet"
    repaint: bool = True
    check_parse: bool = True

    def recipe(self, weights: Path) -> Recipe:
        """The recipe that these weights are used in; as it is set here, `viton_hd_closet`."""
        return try_on(
            name="viton_hd_closet",
            size=self.size,
            weights=str(weights),
            parser=self.parser,
            pose=self.pose,
            repaint=self.repaint,
            check_parse=self.check_parse,
            batch_size=self.batch_size,
        )

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        rows = self.rows(all_described=self.parser is None or self.pose is None)
        recipe = self.recipe(weights)
        chain = recipe.after("fetch").before("encode").build(device)
        files = {f"{name}_bytes": [row.files[name] for row in rows] for name in rows[0].files}
        batch = run_rows(chain, [row.item_id for row in rows], files)
        synthesize = next(stage for stage in recipe.stages if isinstance(stage, Synthesize))
        bent = bent_garments(synthesize, batch, device)
        drawn, judgements = [], []
        for index, row in enumerate(rows):
            item, picture = row.item, batch["image"][index]
            judgement = judged(item, "try-on", picture)
            judgements.append(judgement)
            cells = (
                batch["person"][index],
                batch["garment"][index],
                layout_colours(batch["layout"][index]),
                bent[index],
                picture,
                item.truth,
            )
            note = failure(batch, index) or (
                f"SSIM {judgement.changed.ssim:.3f}  CIEDE2000 {judgement.changed.ciede2000:.1f}"
            )
            drawn.append(DrawnRow(item_id=row.item_id, cells=cells, note=note, picture=picture))
        return Drawn(headings=_HEADINGS, rows=tuple(drawn), metrics=_metrics(judgements, batch))


def _metrics(judgements: list[Judgement], batch: Batch) -> dict[str, float]:
    """Means over the rows. `changed_*`: where the true answer differs from the person; `kept_*`: where it must not."""
    metrics = {
        "changed_ssim": [one.changed.ssim for one in judgements],
        "changed_psnr": [one.changed.psnr for one in judgements],
        "changed_ciede2000": [one.changed.ciede2000 for one in judgements],
        "whole_ssim": [one.whole.ssim for one in judgements],
        "kept_face_psnr": [one.kept.face for one in judgements if one.kept.face is not None],
        "kept_background_psnr": [one.kept.background for one in judgements if one.kept.background is not None],
        "colour_drift": batch["score_colour_drift"].tolist(),
        "misaligned": batch["score_misaligned"].tolist(),
    }
    means = {name: float(np.mean(values)) for name, values in metrics.items() if values}
    return means | {"failed": num_failed(batch)}
