"""VITON-HD at 1024x768 by its published settings, network by network.

Its authors published no training code. Each figure below has its source beside it:

- (R) retrainings that third parties report, which agree with each other;
- (H) HR-VITON's public training code, by the same team, whose generator has the same blocks;
- (S) the paper's supplement as it is cited; not checked against the text itself, but (R) and (H) agree with it;
- (ours) nothing published says it.

Its data set (11,647 training pairs, for research only) is a folder of the user's own.
"""

from __future__ import annotations

import math

from atelier.models.viton_hd import viton_hd
from atelier.models.viton_hd.losses import AliasWeights, MatchingWeights
from atelier.models.viton_hd.networks_discriminators import (
    ALIAS_CRITIC_INPUTS,
    SEGMENTATION_CRITIC_INPUTS,
    DiscriminatorConfig,
)
from training.checkpoints import Retention
from training.data.config import DataConfig
from training.data.sources.finding import LayoutSettings
from training.data.try_on import TryOnColumns
from training.run import TrainRun
from training.steps.alias import AliasStepConfig
from training.steps.base import StepConfig
from training.steps.matching import MatchingStepConfig
from training.steps.segmentation import SegmentationStepConfig
from training.watch.validation.base import Validation
from training.watch.validation.parts import LayoutValidation, WarpValidation
from training.watch.validation.try_on import TryOnValidation

SIZE = (1024, 768)
PAIRS = DataConfig(
    layout=LayoutSettings(size=SIZE),
    columns=TryOnColumns(mirror=False, largest_gap=0.0),  # no source names an augmentation
)


def viton_hd_segmentation() -> TrainRun:
    """The segmentation generator as published: cross entropy times ten and a least-squares critic, at 256x192."""
    step = SegmentationStepConfig(
        model=viton_hd(),
        learning_rate=4e-4,  # (R), of both players
        critic_learning_rate=4e-4,
        betas=(0.5, 0.999),  # (R)
        cross_entropy_weight=10.0,  # (R) (S)
        per_class_weight=0.0,
        adversarial_weight=1.0,  # (R)
        dropout=0.5,  # the published network's
        critic=DiscriminatorConfig(in_channels=SEGMENTATION_CRITIC_INPUTS),  # (R) what it sees, (H) its layers
    )
    held_out = LayoutValidation(size=SIZE)
    return _published("viton_hd_segmentation", step, held_out, "layout_miou", batch_size=8, num_steps=200_000)  # (S)


def viton_hd_matching() -> TrainRun:
    """The geometric matching module as published: L1 of picture and mask, and the second-order grid constraint."""
    step = MatchingStepConfig(
        model=viton_hd(),
        learning_rate=2e-4,  # (R)
        betas=(0.5, 0.999),  # (R)
        weights=MatchingWeights(garment=1.0, mask=1.0, grid=0.04),  # (R) (S)
    )
    held_out = WarpValidation(size=SIZE)
    return _published("viton_hd_matching", step, held_out, "garment_iou", batch_size=8, num_steps=50_000)  # (S)


def viton_hd_alias() -> TrainRun:
    """The ALIAS generator as published: hinge critics, feature matching and, given a VGG, the perceptual loss.

    Takes the other two runs' exported weights. Without `--vgg` the perceptual loss is left out, and the run says so.
    """
    step = AliasStepConfig(
        model=viton_hd(),
        segmentation=viton_hd_segmentation.__name__,
        matching=viton_hd_matching.__name__,
        learning_rate=1e-4,  # (R) (H)
        critic_learning_rate=4e-4,  # (R) (H)
        betas=(0.0, 0.9),  # (R) (H)
        critic=DiscriminatorConfig(in_channels=ALIAS_CRITIC_INPUTS),  # (R) what it sees, (H) its layers and two scales
        weights=AliasWeights(adversarial=1.0, feature_matching=10.0, perceptual=10.0, pixels=0.0),  # (R) (H) (S)
        structure_weight=0.0,
        hidden_weight=0.0,
        half_size_until=0.0,
        predicted_from=1.0,  # (ours): the true layout throughout; the three networks are trained apart
    )
    held_out = TryOnValidation(size=SIZE, parser=None, pose=None, repaint=False, check_parse=False)
    return _published("viton_hd_alias", step, held_out, "changed_ssim", batch_size=4, num_steps=200_000)  # (S)


def _published(
    name: str, step: StepConfig, held_out: Validation, metric: str, *, batch_size: int, num_steps: int
) -> TrainRun:
    """No source names warm-up, decay, clipping, averaging or half precision, so there is none of them.

    Args:
        metric: of the validation, by which the best checkpoints stay beside the newest (ours).
    """
    return TrainRun(
        name=name,
        data=PAIRS,
        step=step,
        batch_size=batch_size,
        num_steps=num_steps,
        num_warmup_steps=0,
        decay="constant",
        average_decay=0.0,
        max_gradient_norm=math.inf,
        precision="float32",
        log_every_steps=100,
        checkpoint_every_steps=1000,
        validate_every_steps=5000,
        validation=held_out,
        keep=Retention(num_best=2, metric=metric),
        loader_workers=4,
    )
