"""The runs by name: each a function that gives the whole of its settings. A variant changes two fields of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atelier.errors import ConfigError
from atelier.models.parsing.config import parser_closet as parser_closet_config
from atelier.models.pose.config import pose_closet as pose_closet_config
from atelier.models.viton_hd import viton_hd_closet as viton_hd_closet_config
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.look import LookColumns
from training.data.try_on import TryOnColumns
from training.run import TrainRun
from training.steps.alias import AliasStepConfig
from training.steps.matching import MatchingStepConfig
from training.steps.parser import ParserStepConfig
from training.steps.pose import PoseStepConfig
from training.steps.segmentation import SegmentationStepConfig

TRY_ONS = DataConfig(closet=ClosetConfig(kind="try_on", num_samples=3000), columns=TryOnColumns())
LOOKS = DataConfig(closet=ClosetConfig(kind="looks", num_samples=2000), columns=LookColumns())
LOOKS_AND_NEGATIVES = DataConfig(
    closet=ClosetConfig(kind="looks_and_negatives", num_samples=4000), columns=LookColumns()
)

LABEL_SHARES = (
    *(0.6811, 0.0027, 0.0207, 0.0, 0.0005, 0.1102, 0.0322, 0.0268, 0.0006, 0.0443),
    *(0.0109, 0.0, 0.0115, 0.0186, 0.0152, 0.0154, 0.0031, 0.0031, 0.0015, 0.0015),
)
"""Of CIHP's labels among the pixels of `LOOKS`, counted over its first 200."""


def viton_hd_segmentation_closet() -> TrainRun:
    """The segmentation generator of the small VITON-HD."""
    step = SegmentationStepConfig(model=viton_hd_closet_config(), dropout=0.1)
    return TrainRun(name="viton_hd_segmentation_closet", data=TRY_ONS, step=step, batch_size=4, num_steps=5500)


def viton_hd_matching_closet() -> TrainRun:
    """The geometric matching module of the small VITON-HD."""
    step = MatchingStepConfig(model=viton_hd_closet_config(), halvings=1)
    return TrainRun(name="viton_hd_matching_closet", data=TRY_ONS, step=step, batch_size=8, num_steps=4000)


def viton_hd_alias_closet() -> TrainRun:
    """The ALIAS generator of the small VITON-HD; takes the other two networks' exported weights."""
    step = AliasStepConfig(
        model=viton_hd_closet_config(),
        segmentation=viton_hd_segmentation_closet.__name__,
        matching=viton_hd_matching_closet.__name__,
        half_size_until=0.74,
    )
    return TrainRun(name="viton_hd_alias_closet", data=TRY_ONS, step=step, batch_size=3, num_steps=5600)


def parser_closet() -> TrainRun:
    """The small parser."""
    step = ParserStepConfig(model=parser_closet_config(), pixel_shares=LABEL_SHARES)
    return TrainRun(name="parser_closet", data=LOOKS, step=step, batch_size=8, num_steps=2000)


def pose_closet() -> TrainRun:
    """The small keypoint network."""
    step = PoseStepConfig(model=pose_closet_config())
    return TrainRun(name="pose_closet", data=LOOKS, step=step, batch_size=8, num_steps=1000)


def parser_closet_negatives() -> TrainRun:
    """The small parser goes on, with products, bare studios and half bodies among the people."""
    step = ParserStepConfig(
        model=parser_closet_config(),
        pixel_shares=LABEL_SHARES,
        learning_rate=1e-3,
        coarse_until=0.3,
        initial=parser_closet.__name__,
    )
    return TrainRun(name="parser_closet_negatives", data=LOOKS_AND_NEGATIVES, step=step, batch_size=8, num_steps=1400)


def pose_closet_negatives() -> TrainRun:
    """The small keypoint network goes on, with products, bare studios and half bodies among the people."""
    step = PoseStepConfig(model=pose_closet_config(), learning_rate=1e-3, initial=pose_closet.__name__)
    return TrainRun(name="pose_closet_negatives", data=LOOKS_AND_NEGATIVES, step=step, batch_size=8, num_steps=1200)


RUNS: Mapping[str, Callable[[], TrainRun]] = {
    run.__name__: run
    for run in (
        viton_hd_segmentation_closet,
        viton_hd_matching_closet,
        viton_hd_alias_closet,
        parser_closet,
        pose_closet,
        parser_closet_negatives,
        pose_closet_negatives,
    )
}


def named(name: str) -> TrainRun:
    """The run of a name.

    Raises:
        ConfigError: no such run; lists those there are.
    """
    if name not in RUNS:
        raise ConfigError(f"run {name!r}: there is none of that name; there are {sorted(RUNS)}")
    return RUNS[name]()
