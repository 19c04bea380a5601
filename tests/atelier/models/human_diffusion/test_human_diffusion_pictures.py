"""Sampling and editing with HumanDiffusion: same seed, same picture, and an edit stays where it was made."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from atelier.closet import Look
from atelier.errors import ConfigError
from atelier.memory import Memory
from atelier.models.diffusion.modes import Mode
from atelier.models.diffusion.steps import Step
from atelier.models.human_diffusion import Description, HumanDiffusion, parse
from atelier.models.human_diffusion.editing import changed_region, edit
from atelier.models.human_diffusion.sampling import sample
from atelier.models.human_diffusion.tokens import Tokens
from tests.atelier.models.human_diffusion.conftest import SIZE, make, seeds

MODES = [Mode(num_steps=4), Mode(sampler="ddpm", num_steps=4), Mode(sampler="dpm_solver", num_steps=4)]
TOP = 1


@pytest.fixture(scope="module")
def tokens(model: HumanDiffusion, memory: Memory, looks: list[Look]) -> Tokens:
    return model.encode([look.caption for look in looks[:2]], memory)


@pytest.fixture(scope="module")
def original(model: HumanDiffusion, tokens: Tokens, pose_maps: Tensor) -> Tensor:
    return sample(model, tokens, pose_maps[:2], mode=MODES[0], generator=seeds(7, 8))


def test_a_picture_is_its_seeds_and_no_batch_mates(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor, original: Tensor
) -> None:
    assert original.shape == (2, 3, *SIZE) and float(original.abs().max()) <= 1
    alone = sample(model, model.encode([looks[1].caption], memory), pose_maps[1:2], mode=MODES[0], generator=seeds(8))
    assert torch.allclose(alone, original[1:], atol=1e-4)
    assert not torch.allclose(original[0], original[1], atol=1e-2)


@pytest.mark.parametrize(
    "without", [{"aligned": False}, {"stylized_memory": False}], ids=lambda parts: next(iter(parts))
)
def test_ablations_make_pictures_too(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor, without: dict[str, bool]
) -> None:
    part = make(dataclasses.replace(model.config, **without), model.encoders)
    remembered = memory if part.config.stylized_memory else None
    mode = Mode(num_steps=3, reuse_every=2)
    tokens = part.encode([look.caption for look in looks[:2]], remembered)
    made = sample(part, tokens, pose_maps[:2], mode=mode, text_scale=2.0, generator=seeds(1, 2))
    assert made.shape == (2, 3, *SIZE) and bool(made.isfinite().all())


def test_tokens_are_placed_once_a_run(
    model: HumanDiffusion, tokens: Tokens, pose_maps: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, predicted = [], []
    tell, predict = model.unet.tell, model.unet.forward
    monkeypatch.setattr(model.unet, "tell", lambda *given: (told.append(1), tell(*given))[1])
    monkeypatch.setattr(model.unet, "forward", lambda *given: (predicted.append(len(given[0])), predict(*given))[1])
    sample(
        model, tokens, pose_maps[:2], mode=Mode(num_steps=5), text_scale=2.0, memory_scale=1.5, generator=seeds(1, 2)
    )
    assert len(told) == 3 and predicted == [6] * 5  # three branches of two rows, in one batch a step
    told.clear(), predicted.clear()
    sample(model, tokens, pose_maps[:2], mode=Mode(num_steps=5), generator=seeds(1, 2))
    assert len(told) == 2 and predicted == [4] * 5  # at equal scales the words' own branch vanishes


def test_a_run_ends_where_the_config_says(model: HumanDiffusion, tokens: Tokens, pose_maps: Tensor) -> None:
    early, steps = HumanDiffusion(dataclasses.replace(model.config, last_timestep=20)).eval(), list[Step]()
    early.load_state_dict(model.state_dict())
    made = sample(early, tokens, pose_maps[:2], mode="balanced", generator=seeds(1, 2), callback=steps.append)
    assert 5 < len(steps) < 20 and steps[-1].level.timestep >= 20
    torch.testing.assert_close(made, steps[-1].x0.clamp(-1, 1))
    with pytest.raises(ConfigError, match=r"last_timestep: is 50, must be in 0\.\.49, as num_timesteps says"):
        dataclasses.replace(model.config, last_timestep=50)


def test_coarse_features_are_reused_between_steps(
    model: HumanDiffusion, tokens: Tokens, pose_maps: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse, forward = [], model.unet.halvings[0].forward
    monkeypatch.setattr(model.unet.halvings[0], "forward", lambda features: (coarse.append(1), forward(features))[1])
    made = {}
    for every in (1, 2, 3):
        coarse.clear()
        mode = Mode(num_steps=5, reuse_every=every)
        made[every] = sample(model, tokens, pose_maps[:2], mode=mode, generator=seeds(7, 8))
        assert len(coarse) == -(-5 // every)
    assert not torch.equal(made[1], made[2]) and float((made[1] - made[2]).abs().mean()) < 0.2


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.sampler)
def test_other_words_for_a_region_leave_the_rest_bit_for_bit(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor, original: Tensor, mode: Mode
) -> None:
    before = [parse(look.caption) for look in looks[:2]]
    after = [before[0].changed(hair="long pink hair"), before[1]]
    region = changed_region(before, after, pose_maps[:2], pose_maps[:2])
    picture = edit(
        model, original, region, model.encode(after, memory), pose_maps[:2], mode=mode, generator=seeds(7, 8)
    )
    outside = ~region[:, None].expand_as(picture)
    assert torch.equal(picture[outside], original[outside])
    assert bool(region[0].any()) and not bool(region[1].any()) and torch.equal(picture[1], original[1])
    assert float((picture[0] - original[0]).abs().amax(0)[region[0]].mean()) > 1e-3
    hair = pose_maps[0] == 13
    assert bool(region[0][hair].all()) and float(region[0].float().mean()) < 0.6


def test_other_pixels_of_the_pose_map_leave_the_rest_bit_for_bit(
    model: HumanDiffusion, tokens: Tokens, looks: list[Look], pose_maps: Tensor, original: Tensor
) -> None:
    said = [parse(look.caption) for look in looks[:2]]
    longer = pose_maps[:2].clone()
    longer[0, 30:40, 4:10] = TOP
    region = changed_region(said, said, pose_maps[:2], longer, margin_px=2)
    assert bool(region[0, 29:41, 6].all()) and not bool(region[0, :20].any()) and not bool(region[1].any())
    picture = edit(model, original, region, tokens, longer, mode=MODES[0], generator=seeds(7, 8))
    outside = ~region[:, None].expand_as(picture)
    assert torch.equal(picture[outside], original[outside])
    assert not torch.equal(picture[0][:, region[0]], original[0][:, region[0]])


def test_what_is_said_of_the_person_concerns_the_whole_picture(pose_maps: Tensor) -> None:
    one, other = Description(person="tall woman"), Description(person="young man")
    assert bool(changed_region([one], [other], pose_maps[:1], pose_maps[:1]).all())
    assert not bool(changed_region([one], [one], pose_maps[:1], pose_maps[:1]).any())


def test_an_edit_that_does_not_fit_is_refused(model: HumanDiffusion, tokens: Tokens, pose_maps: Tensor) -> None:
    with pytest.raises(ConfigError, match="must be as many of one size"):
        changed_region([Description()], [Description()], pose_maps[:2], pose_maps[:2])
    with pytest.raises(ConfigError, match=r"labels \[77\], must be 0..23"):
        sample(model, tokens, pose_maps[:2].clone().fill_(77), generator=seeds(7, 8))
    with pytest.raises(ConfigError, match="give the noise to begin with"):
        sample(model, tokens, pose_maps[:2])
    with pytest.raises(ConfigError, match=r"noise: is \[2, 3, 8, 8\]"):
        sample(model, tokens, pose_maps[:2], noise=torch.zeros(2, 3, 8, 8))
