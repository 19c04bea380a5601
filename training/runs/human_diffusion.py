"""HumanDiffusion: small on drawn people, encoders of words and crops, a memory of crops, then the denoiser; and large.

The denoiser learns at 64x48 first, where a picture costs a quarter, and goes on at 128x96. In a folder RUNS:

    python -m training run human_diffusion_encoders_closet --output RUNS
    python -m training export human_diffusion_encoders_closet --output RUNS \\
        --to RUNS/human_diffusion_encoders_closet/weights
    python -m atelier closet dataset --layout multimodal --items 2000 --size 128x96 --out RUNS/wardrobe
    python -m atelier memory build --data RUNS/wardrobe --model RUNS/human_diffusion_encoders_closet/weights \\
        --out RUNS/human_diffusion_memory_closet
    python -m training run human_diffusion_closet_coarse --output RUNS
    python -m training export human_diffusion_closet_coarse --output RUNS \\
        --to RUNS/human_diffusion_closet_coarse/weights
    python -m training run human_diffusion_closet --output RUNS
    python -m training export human_diffusion_closet --output RUNS --to RUNS/human_diffusion_closet/weights
    python -m training run human_diffusion_closet_settled --output RUNS

The large one is trained around a CLIP ViT-L/14 and Stable Diffusion's autoencoder, which stay as they are: folders of
transformers and of diffusers, or links to them, as RUNS/clip and RUNS/vae. With DATA, a DeepFashion-MultiModal folder:

    python -m atelier memory build --data DATA --clip RUNS/clip --max-bytes 500000000 --out RUNS/human_diffusion_memory
    python -m training run human_diffusion_512 --data DATA --output RUNS
    python -m training export human_diffusion_512 --output RUNS --to RUNS/human_diffusion_512/weights
    python -m pipelines run published --weights human_diffusion=RUNS/human_diffusion_512/weights \\
        --weights memory=RUNS/human_diffusion_memory --weights clip=RUNS/clip --weights vae=RUNS/vae \\
        --catalog catalog.csv --output out
"""

from __future__ import annotations

import dataclasses

from atelier.models import human_diffusion
from atelier.models.human_diffusion import HumanDiffusionConfig
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.described import DescribedColumns
from training.data.sources.finding import LayoutSettings
from training.run import TrainRun
from training.runs.alike import alike
from training.steps.human_diffusion import DenoiserStepConfig, EncodersStepConfig
from training.watch.validation.text_to_person import TextToPersonValidation

MODEL, LARGE = human_diffusion.human_diffusion_closet(), human_diffusion.human_diffusion()
MEMORY = "human_diffusion_memory_closet"
_SHIPPED = "human_diffusion_closet"
_SIZE, _COARSE = MODEL.working_size, (64, 48)
_NUM_PEOPLE = 8000
_NUM_COARSE_STEPS = 1800


def human_diffusion_encoders_closet() -> TrainRun:
    """The small HumanDiffusion's encoders of words and crops, at 128x96."""
    return TrainRun(
        name="human_diffusion_encoders_closet",
        data=_people(),
        step=EncodersStepConfig(model=MODEL),
        batch_size=16,
        num_steps=600,
        num_warmup_steps=100,
        average_decay=0.99,
        max_gradient_norm=1.0,
    )


def human_diffusion_closet_coarse() -> TrainRun:
    """The small HumanDiffusion's denoiser at 64x48; takes the encoders' exported weights and the memory of theirs."""
    return _coarse("human_diffusion_closet_coarse", MODEL)


def human_diffusion_closet_whole() -> TrainRun:
    """The small HumanDiffusion at 64x48 on 120,000 pictures: what its ablations, trained alike, are held against."""
    return _alike("human_diffusion_closet_whole", MODEL)


def human_diffusion_closet_without_smr() -> TrainRun:
    """An ablation, trained as `human_diffusion_closet_whole` is: without the stylized memory, words alone."""
    model = dataclasses.replace(MODEL, stylized_memory=False)
    return _alike("human_diffusion_closet_without_smr", model)


def human_diffusion_closet_without_mca() -> TrainRun:
    """An ablation, trained alike: plain cross-attention in place of the alignment by regions."""
    model = dataclasses.replace(MODEL, aligned=False)
    return _alike("human_diffusion_closet_without_mca", model)


def human_diffusion_closet() -> TrainRun:
    """The small HumanDiffusion's denoiser at 128x96; goes on from `human_diffusion_closet_coarse`."""
    coarse = human_diffusion_closet_coarse()
    step = _further(encoders=human_diffusion_encoders_closet.__name__, initial=coarse.name, learning_rate=4e-4)
    return dataclasses.replace(
        coarse,
        name="human_diffusion_closet",
        data=_people(),
        step=step,
        batch_size=8,
        num_steps=300,
        num_warmup_steps=100,
        validation=TextToPersonValidation(size=_SIZE, memory=MEMORY),
    )


def human_diffusion_closet_settled() -> TrainRun:
    """The small HumanDiffusion goes on at 128x96 while the rate decays.

    Where the runs hold no weights of `human_diffusion_closet`, it begins with those that come with Atelier.
    """
    run = human_diffusion_closet()
    step = _further(encoders=run.name, initial=run.name, learning_rate=6e-4)
    return dataclasses.replace(
        run,
        name="human_diffusion_closet_settled",
        step=step,
        num_steps=2000,
        log_every_steps=25,
        checkpoint_every_steps=100,
        validate_every_steps=250,
    )


def human_diffusion_512() -> TrainRun:
    """The large HumanDiffusion at 512x256 on DeepFashion-MultiModal; the paper states no settings, all are ours."""
    return TrainRun(
        name="human_diffusion_512",
        data=DataConfig(layout=LayoutSettings(size=LARGE.working_size), columns=DescribedColumns(model=LARGE)),
        step=DenoiserStepConfig(
            model=LARGE,
            clip="clip",
            vae="vae",
            memory="human_diffusion_memory",
            learning_rate=1e-4,
            betas=(0.9, 0.999),
        ),
        batch_size=64,
        num_steps=200_000,
        num_warmup_steps=5000,
        decay="constant",
        average_decay=0.9999,
        max_gradient_norm=1.0,
        checkpoint_every_steps=5000,
        loader_workers=4,
    )


def _alike(name: str, model: HumanDiffusionConfig) -> TrainRun:
    """With the shipped encoders and their memory: what is compared is the denoiser, sampled to its last level."""
    run = _coarse(name, dataclasses.replace(model, last_timestep=0))
    assert isinstance(run.step, DenoiserStepConfig)
    step = dataclasses.replace(run.step, encoders=_SHIPPED)
    return alike(dataclasses.replace(run, step=step))


def _further(*, encoders: str, initial: str, learning_rate: float) -> DenoiserStepConfig:
    """A denoiser that goes on at 128x96."""
    return DenoiserStepConfig(
        model=MODEL, encoders=encoders, memory=MEMORY, initial=initial, learning_rate=learning_rate
    )


def _coarse(name: str, model: HumanDiffusionConfig) -> TrainRun:
    """A denoiser at 64x48."""
    memory = MEMORY if model.stylized_memory else ""
    return TrainRun(
        name=name,
        data=_people(halvings=1),
        step=DenoiserStepConfig(
            model=dataclasses.replace(model, working_size=_COARSE),
            encoders=human_diffusion_encoders_closet.__name__,
            memory=memory,
            learning_rate=1e-3,
        ),
        batch_size=16,
        num_steps=_NUM_COARSE_STEPS,
        average_decay=0.995,
        max_gradient_norm=1.0,
        checkpoint_every_steps=250,
        validate_every_steps=300,
        validation=TextToPersonValidation(size=_COARSE, memory=memory),
    )


def _people(*, halvings: int = 0) -> DataConfig:
    """Everybody is drawn once, at 128x96; small pictures are the means of theirs."""
    return DataConfig(
        closet=ClosetConfig(kind="described", num_samples=_NUM_PEOPLE, size=_SIZE),
        columns=DescribedColumns(model=MODEL, halvings=halvings),
    )
