"""PIDM: small on drawn people, and by its published settings on DeepFashion.

Figures of the published runs have their source beside them: (C) the released training code, (P) the paper's text;
(ours) nothing published says it. DeepFashion (101,966 training pairs, for non-commercial research) is a folder of the
user's own.
"""

from __future__ import annotations

from dataclasses import replace

from atelier.models import pidm
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.pose_transfer import PoseTransferColumns, SqueezedPoseTransferColumns
from training.data.sources.finding import LayoutSettings
from training.run import TrainRun
from training.runs.alike import NUM_PICTURES
from training.steps.pidm import PidmStepConfig
from training.watch.validation.pose_transfer import PidmValidation

_NUM_PAIRS = 101_966
_EPOCHS = 300


def pidm_closet() -> TrainRun:
    """The small PIDM at 128x96, on drawn people who each take two poses; goes on from the run at 64x48.

    The weights that come with Atelier are this run's, ended earlier, and are sampled as their `config.json` says.
    """
    return TrainRun(
        name="pidm_closet",
        data=_drawn(),
        step=PidmStepConfig(model=pidm.pidm_closet(), learning_rate=6e-4, initial=pidm_closet_whole.__name__),
        batch_size=8,
        num_steps=15_000,
        num_warmup_steps=200,
        average_decay=0.998,
        max_gradient_norm=1.0,
        log_every_steps=100,
        checkpoint_every_steps=500,
        validate_every_steps=1000,
        validation=PidmValidation(),
        channels_last=True,
    )


def pidm_closet_whole() -> TrainRun:
    """The small PIDM at 64x48 on 120,000 pictures: what its ablations, trained alike, are held against."""
    return _alike("pidm_closet_whole", pidm.pidm_closet())


def pidm_closet_without_textures() -> TrainRun:
    """The small PIDM without texture diffusion blocks, trained as `pidm_closet_whole` is: the paper's ablation."""
    return _alike("pidm_closet_without_textures", replace(pidm.pidm_closet(), texture_strides=()))


def pidm_closet_without_guidance() -> TrainRun:
    """The small PIDM that is never shown a null condition nor guided by one: the paper's ablation."""
    return _alike("pidm_closet_without_guidance", replace(pidm.pidm_closet(), guidance="none"), dropped=0.0)


def _alike(name: str, model: pidm.PidmConfig, *, dropped: float = 0.1) -> TrainRun:
    return TrainRun(
        name=name,
        data=_drawn(halvings=1),
        step=PidmStepConfig(
            model=replace(model, working_size=(64, 48), patch=1),
            learning_rate=8e-4,
            style_dropped=dropped,
            pose_dropped=dropped,
        ),
        batch_size=8,
        num_steps=NUM_PICTURES // 8,
        num_warmup_steps=200,
        average_decay=0.998,
        max_gradient_norm=1.0,
        log_every_steps=100,
        checkpoint_every_steps=500,
        validate_every_steps=1000,
        validation=PidmValidation(),
        channels_last=True,
    )


def _drawn(*, halvings: int = 0) -> DataConfig:
    closet = ClosetConfig(kind="pose_transfer", num_samples=3000, size=pidm.pidm_closet().working_size)
    return DataConfig(closet=closet, columns=PoseTransferColumns(halvings=halvings))


def pidm_256() -> TrainRun:
    """The published network at 256x256 by its published settings; both conditions are dropped, as the paper says.

    It sees pictures of 256x176 squeezed to a square, as the recipe `pidm` shows them to the released weights.
    """
    model = replace(pidm.pidm_256(), guidance="disentangled")
    batch_size = 64  # (C): 8 processes of 4 pairs, each used in both directions
    return TrainRun(
        name="pidm_256",
        data=DataConfig(
            layout=LayoutSettings(size=(256, 176), annotation_size=(256, 176)),
            columns=SqueezedPoseTransferColumns(network_size=model.working_size, zoom=0.05),  # (C)
        ),
        step=PidmStepConfig(
            model=model,
            learning_rate=2e-5,  # (C)
            betas=(0.9, 0.999),  # (C) Adam's own
            style_dropped=0.1,  # (C) (P)
            pose_dropped=0.1,  # (P); the released code drops none
        ),
        batch_size=batch_size,
        num_steps=2 * _NUM_PAIRS * _EPOCHS // batch_size,  # (C) 300 epochs, each pair in both directions
        num_warmup_steps=5000,  # (C)
        decay="constant",  # (C)
        average_decay=0.9999,  # (C)
        max_gradient_norm=1.0,  # (C)
        validate_every_steps=10_000,
        validation=PidmValidation(
            size=(256, 176), mode="quality", parser=None, published=True, annotation_size=(256, 176)
        ),
        channels_last=True,
        loader_workers=4,
    )
