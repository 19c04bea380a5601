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


def viton_hd_alias_demo() -> TrainRun:
    """A few minutes of the small ALIAS generator, from the shipped weights on: for trying the loop out."""
    step = AliasStepConfig(
        model=viton_hd_closet(),
        segmentation="viton_hd_closet",
        matching="viton_hd_closet",
        initial="viton_hd_closet",
        learning_rate=3e-4,
        half_size_until=0.0,
        predicted_from=0.0,
    )
    return TrainRun(
        name="viton_hd_alias_demo",
        data=DataConfig(closet=ClosetConfig(kind="try_on", num_samples=200), columns=TryOnColumns()),
        step=step,
        batch_size=4,
        num_steps=120,
        num_warmup_steps=10,
        average_decay=0.95,
        log_every_steps=5,
        checkpoint_every_steps=20,
        validate_every_steps=60,
        validation=TryOnValidation(),
    )
