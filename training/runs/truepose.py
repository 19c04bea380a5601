"""TruePose: small on drawn people who each take two poses, and large on DeepFashion.

The small one in this order, each with the exported weights of those before: autoencoder, UNets at a quarter of the
pixels, the autoencoder's decoder, UNets at the full size.

The large one begins with Stable Diffusion 1.5's UNet and keeps its autoencoder and CLIP ViT-L/14 as they are. With
SD15, CLIP and PARSER, folders of diffusers', of transformers' and of a parser for photographs, and CLIP or a link to it
as RUNS/clip:

    python -m atelier convert truepose --stable-diffusion SD15 --clip CLIP --out RUNS/stable_diffusion
    python -m training prepare truepose_512 --data DEEPFASHION --parser PARSER --output DATA
    python -m training run truepose_512 --data DATA --output RUNS
    python -m training export truepose_512 --output RUNS --to RUNS/truepose_512/weights
    python -m pipelines run published --weights truepose=RUNS/truepose_512/weights --weights clip=RUNS/clip \\
        --weights parser=PARSER --weights pose=POSE --catalog catalog.csv --output out
"""

from __future__ import annotations

from dataclasses import replace

from atelier.models.truepose import truepose
from atelier.models.truepose import truepose_closet as truepose_closet_model
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.latents import PairLatents
from training.data.sources.finding import LayoutSettings
from training.data.truepose import CroppedPictureColumns, StillTruePoseColumns, TruePoseColumns
from training.run import TrainRun
from training.runs.alike import alike
from training.steps.truepose import TruePoseStepConfig
from training.steps.truepose_autoencoder import AutoencoderStepConfig, DecoderStepConfig
from training.watch.validation.pose_transfer import TruePoseValidation

MODEL, LARGE = truepose_closet_model(), truepose()
_PAIRS = ClosetConfig(kind="pose_transfer", num_samples=6000, size=MODEL.working_size)
_PEOPLE = ClosetConfig(kind="described", num_samples=8000, size=MODEL.working_size)
"""The people that HumanDiffusion is trained on too: drawn once for both."""
_SHIPPED = "truepose_closet"


def truepose_autoencoder_closet() -> TrainRun:
    """The small TruePose's autoencoder, on squares of 48 pixels."""
    return TrainRun(
        name="truepose_autoencoder_closet",
        data=DataConfig(closet=_PEOPLE, columns=CroppedPictureColumns(side=48)),
        step=AutoencoderStepConfig(model=MODEL),
        batch_size=8,
        num_steps=4000,
        num_warmup_steps=50,
        average_decay=0.99,
        max_gradient_norm=1.0,
        checkpoint_every_steps=200,
        channels_last=True,
    )


def truepose_decoder_closet() -> TrainRun:
    """The small TruePose's decoder goes on alone: latents, and what was learned on them, stay as they are."""
    run = truepose_autoencoder_closet()
    step = DecoderStepConfig(model=MODEL, initial=truepose_autoencoder_closet.__name__)
    return replace(run, name="truepose_decoder_closet", step=step, num_steps=3000)


def truepose_closet_coarse() -> TrainRun:
    """The first part of the small TruePose's training, at a quarter of its pixels."""
    return TrainRun(
        name="truepose_closet_coarse",
        data=DataConfig(closet=_PAIRS, columns=TruePoseColumns(pose=MODEL.pose, halvings=1)),
        step=TruePoseStepConfig(
            model=replace(MODEL, working_size=(64, 48)), autoencoder=truepose_autoencoder_closet.__name__
        ),
        batch_size=16,
        num_steps=7500,
        num_warmup_steps=100,
        decay="constant",  # it goes on at the full size
        average_decay=0.997,
        max_gradient_norm=1.0,
        log_every_steps=50,
        checkpoint_every_steps=100,
        validate_every_steps=500,
        validation=TruePoseValidation(size=(64, 48)),
        channels_last=True,
    )


def truepose_closet() -> TrainRun:
    """The small TruePose at 128x96; goes on from its coarse run, with the better decoder of the same latents."""
    return TrainRun(
        name="truepose_closet",
        data=DataConfig(closet=_PAIRS, columns=TruePoseColumns(pose=MODEL.pose)),
        step=TruePoseStepConfig(
            model=MODEL,
            autoencoder=truepose_decoder_closet.__name__,
            learning_rate=6e-4,
            initial=truepose_closet_coarse.__name__,
        ),
        batch_size=8,
        num_steps=3000,
        num_warmup_steps=50,
        average_decay=0.995,
        max_gradient_norm=1.0,
        log_every_steps=25,
        checkpoint_every_steps=100,
        validate_every_steps=250,
        validation=TruePoseValidation(),
        channels_last=True,
    )


def truepose_closet_still() -> TrainRun:
    """The small TruePose at 128x96 without augmentation, gone on from the shipped weights on latents computed once."""
    run = truepose_closet()
    latents = PairLatents(size=MODEL.working_size, weights=_SHIPPED)
    return replace(
        run,
        name="truepose_closet_still",
        data=DataConfig(closet=_PAIRS, columns=StillTruePoseColumns(pose=MODEL.pose), features=(latents,)),
        step=TruePoseStepConfig(model=MODEL, autoencoder=_SHIPPED, learning_rate=1e-4, initial=_SHIPPED),
    )


def truepose_closet_whole() -> TrainRun:
    """The small TruePose at 64x48 on 120,000 pictures: what its ablations, trained alike, are held against."""
    return _alike("truepose_closet_whole")


def truepose_closet_without_hpfa() -> TrainRun:
    """An ablation, trained as `truepose_closet_whole` is: plain reference attention in place of HPFA."""
    return _alike("truepose_closet_without_hpfa", fusion=False)


def truepose_closet_without_caa() -> TrainRun:
    """An ablation, trained alike: told of the whole source alone in cross-attention, in place of CAA."""
    return _alike("truepose_closet_without_caa", alignment=False)


def truepose_512() -> TrainRun:
    """The large TruePose at 512x352 on DeepFashion's pairs; its paper's text is not public to us, all settings are
    ours."""
    return TrainRun(
        name="truepose_512",
        data=DataConfig(
            layout=LayoutSettings(size=LARGE.working_size, annotation_size=(256, 176)),
            columns=TruePoseColumns(pose=LARGE.pose),
        ),
        step=TruePoseStepConfig(
            model=LARGE,
            autoencoder="stable_diffusion",
            initial="stable_diffusion",
            clip="clip",
            learning_rate=1e-5,
            betas=(0.9, 0.999),
        ),
        batch_size=32,
        num_steps=100_000,
        num_warmup_steps=1000,
        decay="constant",
        average_decay=0.9999,
        max_gradient_norm=1.0,
        checkpoint_every_steps=2500,
        loader_workers=4,
    )


def _alike(name: str, **parts: bool) -> TrainRun:
    """On the latents of the shipped autoencoder: what is compared is the rest, sampled to its last level."""
    run = truepose_closet_coarse()
    model = replace(MODEL, working_size=(64, 48), last_timestep=0, **parts)
    step = TruePoseStepConfig(model=model, autoencoder=_SHIPPED)
    return alike(replace(run, name=name, step=step))
