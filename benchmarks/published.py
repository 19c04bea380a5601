"""Runs of the published sizes on drawn rows, for what a device makes of them: networks and steps are the runs' own.

No data set and no earlier weights are needed: rows are drawn at the runs' size, and networks that a run only reads are
untrained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from training import runs
from training.checkpoints import Retention
from training.data.closet_source import ClosetConfig
from training.run import TrainRun
from training.steps.alias import AliasStepConfig
from training.steps.initial import WEIGHTS_FOLDER

NUM_SAMPLES = 32


def viton_hd_segmentation() -> TrainRun:
    """VITON-HD's segmentation generator at 1024x768."""
    return drawn(runs.viton_hd_segmentation())


def viton_hd_matching() -> TrainRun:
    """VITON-HD's geometric matching module at 1024x768."""
    return drawn(runs.viton_hd_matching())


def viton_hd_alias() -> TrainRun:
    """VITON-HD's ALIAS generator at 1024x768."""
    return drawn(runs.viton_hd_alias())


def pidm_256() -> TrainRun:
    """PIDM at 256x256."""
    return drawn(runs.pidm_256())


PUBLISHED: Mapping[str, Callable[[], TrainRun]] = {
    run.__name__: run for run in (viton_hd_segmentation, viton_hd_matching, viton_hd_alias, pidm_256)
}


def drawn(run: TrainRun, num_samples: int = NUM_SAMPLES) -> TrainRun:
    """A run on drawn rows of its size, unvalidated, every step the same work from the first on."""
    kind = "try_on" if "garment" in run.data.columns.reads else "pose_transfer"
    closet = ClosetConfig(kind=kind, num_samples=num_samples, size=run.data.size)
    data = dataclasses.replace(run.data, closet=closet, layout=None)
    return dataclasses.replace(
        run, name="benchmark", data=data, validation=None, validate_every_steps=0, keep=Retention()
    )


def write_earlier(run: TrainRun, folder: Path) -> None:
    """Puts untrained weights of the networks that a run only reads among the runs of a folder, where there are none."""
    if not isinstance(run.step, AliasStepConfig):
        return
    for name in (run.step.segmentation, run.step.matching):
        if not (weights := folder / name / WEIGHTS_FOLDER).exists():
            step = runs.named(name).step.build(folder)
            step.export(step.networks, weights, None)
