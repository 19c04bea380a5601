"""Validations of pose transfer draw held-out people by the stages, unguided and guided, and score them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from atelier.models.pidm import pidm_closet
from atelier.models.truepose import TruePose
from tests.atelier.models.truepose.truepose_tiny import TINY, filled
from training.steps.pidm import PidmStepConfig
from training.watch.validation.base import Drawn
from training.watch.validation.pose_transfer import PidmValidation, TruePoseValidation, transfer_rows

SIZE = (32, 32)
MODEL = replace(pidm_closet(), working_size=SIZE, width=8, multipliers=(1, 2), texture_strides=(2,), num_groups=4)


def test_pidms_validation_draws_held_out_people_twice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    step = PidmStepConfig(model=MODEL).build(tmp_path)
    with torch.no_grad():
        for parameter in step.networks.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    step.export(step.networks, tmp_path, torch.float16)
    validation = PidmValidation(num_rows=3, size=SIZE, batch_size=2, mode="fast", guidance="nested", style_scale=4.0)
    _check(validation.draw(tmp_path, torch.device("cpu")))


def test_trueposes_validation_draws_held_out_people_twice(tmp_path: Path) -> None:
    filled(TruePose(replace(TINY, working_size=SIZE))).save_pretrained(tmp_path)
    validation = TruePoseValidation(num_rows=3, size=SIZE, batch_size=2, source_scale=4.0)
    _check(validation.draw(tmp_path, torch.device("cpu")))


def _check(drawn: Drawn) -> None:
    assert len(drawn.rows) == 3 and drawn.headings[0] == "source" and drawn.headings[-1] == "true answer"
    rows = transfer_rows(3, 0, SIZE)
    for row, true in zip(drawn.rows, rows, strict=True):
        source, _, unguided, guided, truth = row.cells
        assert np.array_equal(source, true.source) and np.array_equal(truth, true.truth)
        assert row.picture is not None and np.array_equal(guided, row.picture) and (unguided != guided).any()
    assert drawn.metrics["failed"] == 0 and drawn.metrics["person_psnr"] != drawn.metrics["unguided_person_psnr"]
