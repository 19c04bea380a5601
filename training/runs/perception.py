"""Parser and keypoint network on drawn people, then on pictures that nobody is in as well."""

from __future__ import annotations

from atelier.models.parsing import config as parsing
from atelier.models.pose import config as pose
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.look import LookColumns
from training.run import TrainRun
from training.steps.parser import ParserStepConfig
from training.steps.pose import PoseStepConfig
from training.watch.validation.looks import ParseValidation, PoseValidation

LOOKS = DataConfig(closet=ClosetConfig(kind="looks", num_samples=2000), columns=LookColumns())
LOOKS_AND_NEGATIVES = DataConfig(
    closet=ClosetConfig(kind="looks_and_negatives", num_samples=4000), columns=LookColumns()
)

LABEL_SHARES = (
    *(0.6811, 0.0027, 0.0207, 0.0, 0.0005, 0.1102, 0.0322, 0.0268, 0.0006, 0.0443),
    *(0.0109, 0.0, 0.0115, 0.0186, 0.0152, 0.0154, 0.0031, 0.0031, 0.0015, 0.0015),
)
"""Of CIHP's labels among the pixels of `LOOKS`, counted over its first 200."""


def parser_closet() -> TrainRun:
    """The small parser, on people alone."""
    step = ParserStepConfig(model=parsing.parser_closet(), pixel_shares=LABEL_SHARES)
    return TrainRun(
        name="parser_closet",
        data=LOOKS,
        step=step,
        batch_size=8,
        num_steps=1770,
        validate_every_steps=200,
        validation=ParseValidation(),
    )


def parser_closet_negatives() -> TrainRun:
    """The small parser goes on from `parser_closet`, with products, bare studios and half bodies among the people."""
    step = ParserStepConfig(
        model=parsing.parser_closet(),
        pixel_shares=LABEL_SHARES,
        learning_rate=1e-3,
        coarse_until=0.3,
        initial=parser_closet.__name__,
    )
    return TrainRun(
        name="parser_closet_negatives",
        data=LOOKS_AND_NEGATIVES,
        step=step,
        batch_size=8,
        num_steps=1400,
        validate_every_steps=200,
        validation=ParseValidation(),
    )


def parser_demo() -> TrainRun:
    """A few minutes of the small parser, from nothing: for trying the loop out."""
    step = ParserStepConfig(model=parsing.parser_closet(), pixel_shares=LABEL_SHARES, coarse_until=1.0)
    return TrainRun(
        name="parser_demo",
        data=DataConfig(closet=ClosetConfig(kind="looks", num_samples=400), columns=LookColumns()),
        step=step,
        batch_size=8,
        num_steps=500,
        num_warmup_steps=20,
        average_decay=0.98,
        precision="float32",  # for processors without instructions for bfloat16, too
        log_every_steps=10,
        checkpoint_every_steps=50,
        validate_every_steps=125,
        validation=ParseValidation(),
    )


def pose_closet() -> TrainRun:
    """The small keypoint network, on people alone."""
    step = PoseStepConfig(model=pose.pose_closet())
    return TrainRun(
        name="pose_closet",
        data=LOOKS,
        step=step,
        batch_size=8,
        num_steps=1000,
        validate_every_steps=200,
        validation=PoseValidation(),
    )


def pose_closet_negatives() -> TrainRun:
    """The small keypoint network goes on from `pose_closet`, with pictures that nobody is in among the people."""
    step = PoseStepConfig(model=pose.pose_closet(), learning_rate=1e-3, initial=pose_closet.__name__)
    return TrainRun(
        name="pose_closet_negatives",
        data=LOOKS_AND_NEGATIVES,
        step=step,
        batch_size=8,
        num_steps=1200,
        validate_every_steps=200,
        validation=PoseValidation(),
    )
