"""The runs of the diffusion systems' published sizes keep to what is published, and ablations are trained alike."""

from __future__ import annotations

import dataclasses

import pytest

from atelier.models.human_diffusion import human_diffusion
from atelier.models.pidm import pidm_256
from atelier.models.truepose import truepose
from training.data.pose_transfer import SqueezedPoseTransferColumns
from training.runs import named
from training.steps.human_diffusion import DenoiserStepConfig
from training.steps.pidm import PidmStepConfig
from training.steps.truepose import TruePoseStepConfig


def test_pidm_is_trained_as_published() -> None:
    run = named("pidm_256")
    assert isinstance(run.step, PidmStepConfig) and run.data.layout is not None
    assert run.step.model == dataclasses.replace(pidm_256(), guidance="disentangled")
    assert run.step.model.prediction == "eps" and not run.step.model.clip
    assert (run.step.learning_rate, run.step.betas) == (2e-5, (0.9, 0.999))
    assert (run.step.style_dropped, run.step.pose_dropped) == (0.1, 0.1)
    assert run.batch_size == 64 and run.num_steps == 2 * 101_966 * 300 // 64
    assert (run.num_warmup_steps, run.decay, run.average_decay, run.max_gradient_norm) == (5000, "constant", 0.9999, 1)
    columns = run.data.columns
    assert isinstance(columns, SqueezedPoseTransferColumns)
    assert (columns.network_size, columns.zoom, columns.mirror) == ((256, 256), 0.05, True)
    assert run.data.layout.annotation_size == run.data.size == (256, 176)


def test_the_large_truepose_and_human_diffusion_have_runs() -> None:
    transfer, told = named("truepose_512"), named("human_diffusion_512")
    assert isinstance(transfer.step, TruePoseStepConfig) and isinstance(told.step, DenoiserStepConfig)
    assert transfer.step.model == truepose() and transfer.data.size == (512, 352)
    assert told.step.model == human_diffusion() and told.data.size == (512, 256)
    assert transfer.step.clip and told.step.clip and told.step.vae and told.step.memory
    assert transfer.data.closet is None and told.data.closet is None


@pytest.mark.parametrize(
    ("whole", "parts"),
    [
        ("pidm_closet_whole", ("pidm_closet_without_textures", "pidm_closet_without_guidance")),
        ("truepose_closet_whole", ("truepose_closet_without_hpfa", "truepose_closet_without_caa")),
        ("human_diffusion_closet_whole", ("human_diffusion_closet_without_smr", "human_diffusion_closet_without_mca")),
    ],
)
def test_ablations_are_trained_alike(whole: str, parts: tuple[str, ...]) -> None:
    """120,000 pictures at 64x48, and nothing else that differs but the part and what feeds it."""
    first = named(whole)
    assert first.num_steps * first.batch_size == 120_000
    step = first.step
    assert isinstance(step, PidmStepConfig | TruePoseStepConfig | DenoiserStepConfig)
    assert step.model.working_size == (64, 48) and step.initial is None
    for name in parts:
        other = named(name)
        assert dataclasses.replace(other, name=whole, step=step, validation=first.validation) == first
        assert isinstance(other.step, type(step))
        changed = {
            field.name
            for field in dataclasses.fields(step)
            if getattr(other.step, field.name) != getattr(step, field.name)
        }
        assert "model" in changed and changed <= {"model", "memory", "style_dropped", "pose_dropped"}
