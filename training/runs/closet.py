"""The small VITON-HD on drawn people: one core trains each network in half an hour."""

from __future__ import annotations

from atelier.models.viton_hd import viton_hd_closet
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.try_on import TryOnColumns
from training.run import TrainRun
from training.steps.alias import AliasStepConfig
from training.steps.matching import MatchingStepConfig
from training.steps.segmentation import SegmentationStepConfig
from training.watch.validation.parts import LayoutValidation, WarpValidation
from training.watch.validation.try_on import TryOnValidation

TRY_ONS = DataConfig(closet=ClosetConfig(kind="try_on", num_samples=3000), columns=TryOnColumns())


def viton_hd_segmentation_closet() -> TrainRun:
    """The segmentation generator of the small VITON-HD."""
    step = SegmentationStepConfig(model=viton_hd_closet(), dropout=0.1)
    return TrainRun(
        name="viton_hd_segmentation_closet",
        data=TRY_ONS,
        step=step,
        batch_size=4,
        num_steps=5500,
        validate_every_steps=500,
        validation=LayoutValidation(),
    )


def viton_hd_matching_closet() -> TrainRun:
    """The geometric matching module of the small VITON-HD."""
    step = MatchingStepConfig(model=viton_hd_closet(), halvings=1)
    return TrainRun(
        name="viton_hd_matching_closet",
        data=TRY_ONS,
        step=step,
        batch_size=8,
        num_steps=4000,
        validate_every_steps=500,
        validation=WarpValidation(),
    )


def viton_hd_alias_closet() -> TrainRun:
    """The ALIAS generator of the small VITON-HD; takes the other two networks' exported weights."""
    step = AliasStepConfig(
        model=viton_hd_closet(),
        segmentation=viton_hd_segmentation_closet.__name__,
        matching=viton_hd_matching_closet.__name__,
        learning_rate=2e-3,
        half_size_until=0.74,
    )
    return TrainRun(
        name="viton_hd_alias_closet",
        data=TRY_ONS,
        step=step,
        batch_size=3,
        num_steps=5600,
        validate_every_steps=400,
        validation=TryOnValidation(),
    )
