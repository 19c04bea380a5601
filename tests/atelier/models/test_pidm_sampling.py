"""Sampling computes nothing twice, and a picture is its row's alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion.modes import Mode
from atelier.models.diffusion.steps import SamplingStopped, Step
from atelier.models.pidm import Pidm, pidm_closet
from atelier.models.pidm.config import Guidance
from atelier.models.pidm.editing import keep_outside, mix_noise, mix_styles
from atelier.models.pidm.sampling import sample
from tests.parity.fill import fill, keys_of

SIZE = (16, 32)
SHORT = Mode(num_steps=4)


@pytest.fixture(scope="module")
def model() -> Pidm:
    small = replace(pidm_closet(), patch=1, width=8, multipliers=(1, 2, 2), texture_strides=(2, 4), num_groups=4)
    made = Pidm(replace(small, working_size=SIZE)).eval()
    for name, network in made.named_children():
        network.load_state_dict(fill(keys_of(made.get_submodule(name))))
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def source() -> Tensor:
    return torch.rand(3, 3, *SIZE, generator=_seeded()) * 2 - 1


@pytest.fixture(scope="module")
def pose_map() -> Tensor:
    return torch.rand(3, 20, *SIZE, generator=_seeded(1))


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@contextmanager
def _counted(model: Pidm) -> Iterator[Counter[str]]:
    """Passes of each network, the rows that the UNet was given, and keys and values made."""
    counts: Counter[str] = Counter()

    def count(name: str):
        def hook(module, args, output) -> None:
            counts[name] += 1
            if name == "unet":
                counts["rows"] += len(args[0])

        return hook

    keys_values = [module for name, module in model.unet.named_modules() if name.endswith("to_kv")]
    handles = [
        model.unet.register_forward_hook(count("unet")),
        model.encoder.register_forward_hook(count("encoder")),
        *(module.register_forward_hook(count("keys_values")) for module in keys_values),
    ]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(
    ("guidance", "scales", "num_branches", "num_encoded"),
    [
        ("none", (2.0, 2.0), 1, 1),
        ("released", (2.0, 2.0), 2, 2),
        ("released", (2.0, 1.0), 1, 1),
        ("released", (2.0, 0.0), 1, 2),
        ("disentangled", (2.0, 2.0), 3, 2),
        ("disentangled", (0.0, 2.0), 2, 2),
        ("nested", (2.0, 2.0), 2, 2),
        ("nested", (2.0, 3.0), 3, 2),
    ],
)
def test_what_knows_no_noise_and_no_time_is_computed_once(
    model: Pidm,
    source: Tensor,
    pose_map: Tensor,
    guidance: Guidance,
    scales: tuple[float, float],
    num_branches: int,
    num_encoded: int,
) -> None:
    pose_scale, style_scale = scales
    with _counted(model) as counts:
        sample(
            model,
            model.encode(source),
            pose_map,
            mode=SHORT,
            guidance=guidance,
            pose_scale=pose_scale,
            style_scale=style_scale,
            generator=_seeded(),
        )
    styles = 1 if guidance == "released" and style_scale == 0 else num_encoded
    assert counts["unet"] == SHORT.num_steps, "all branches of a step go in one batch"
    assert counts["rows"] == SHORT.num_steps * num_branches * len(source)
    assert counts["encoder"] == num_encoded
    assert counts["keys_values"] == 5 * styles


def test_guidance_is_left_out_beyond_its_interval(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    with _counted(model) as counts:
        mode = Mode(num_steps=4, guided=(0.2, 0.6))  # of 750, 500, 250, 0: two
        sample(model, model.encode(source), pose_map, mode=mode, generator=_seeded())
    assert counts["rows"] == (2 * 3 + 2 * 1) * len(source)


def test_coarse_features_are_reused_between_steps(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    features, calls = model.encode(source), Counter[str]()
    for name in ("middle_block", "input_blocks.1", "input_blocks.3", "output_blocks.3", "output_blocks.4"):
        model.unet.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.update([name]))
    exact = sample(model, features, pose_map, mode=Mode(num_steps=5), generator=_seeded())
    calls.clear()
    reusing = sample(model, features, pose_map, mode=Mode(num_steps=5, reuse_every=2), generator=_seeded())
    assert calls == {
        "middle_block": 3,
        "input_blocks.1": 5,
        "input_blocks.3": 3,
        "output_blocks.3": 3,
        "output_blocks.4": 5,
    }
    assert 0 < (reusing - exact).abs().mean() < 0.5 * exact.std()


@pytest.mark.parametrize("mode", [Mode(num_steps=5), Mode(sampler="dpm_solver", num_steps=5)])
def test_a_run_that_ends_early_computes_all_of_its_last_step(
    model: Pidm, source: Tensor, pose_map: Tensor, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = 200 if mode.sampler == "ddim" else 300  # either leaves four steps
    monkeypatch.setattr(model, "config", replace(model.config, last_timestep=last))
    features, calls = model.encode(source), Counter[str]()
    for name in ("middle_block", "input_blocks.1"):
        model.unet.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.update([name]))
    sample(model, features, pose_map, mode=replace(mode, reuse_every=2), generator=_seeded())
    assert calls == {"middle_block": 3, "input_blocks.1": 4}, "the first, the third and the last"


def test_features_are_not_reused_by_other_branches(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    with _counted(model) as counts:
        mode = Mode(num_steps=4, guided=(0.2, 0.6), reuse_every=4)
        made = sample(model, model.encode(source), pose_map, mode=mode, generator=_seeded())
    assert made.isfinite().all() and counts["rows"] == (2 * 3 + 2 * 1) * len(source)


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "dpm_solver", "unipc", "euler"])
def test_a_picture_does_not_depend_on_its_batch_mates(model: Pidm, source: Tensor, pose_map: Tensor, sampler) -> None:
    mode = Mode(sampler=sampler, num_steps=4)
    together = sample(model, model.encode(source), pose_map, mode=mode, generator=[_seeded(seed) for seed in range(3)])
    alone = sample(model, model.encode(source[1:2]), pose_map[1:2], mode=mode, generator=[_seeded(1)])
    assert together.shape == (3, 3, *SIZE) and together.abs().max() <= 1
    torch.testing.assert_close(together[1:2], alone, rtol=1e-3, atol=1e-3)


def test_given_noise_is_where_the_run_begins(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    features = model.encode(source)
    noise = torch.randn(3, 3, *SIZE, generator=_seeded(7))
    given = sample(model, features, pose_map, mode=SHORT, noise=noise)
    drawn = sample(model, features, pose_map, mode=SHORT, generator=_seeded(7))
    assert torch.equal(given, drawn)
    with pytest.raises(ConfigError, match="give the noise to begin with, or a generator"):
        sample(model, features, pose_map)


def test_a_run_is_stopped(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    with pytest.raises(SamplingStopped, match="after 0 of 4"):
        sample(model, model.encode(source), pose_map, mode=SHORT, generator=_seeded(), stop=lambda: True)


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_outside_of_the_mask_the_reference_stays(model: Pidm, source: Tensor, pose_map: Tensor, sampler) -> None:
    mask = torch.zeros(3, 1, *SIZE)
    mask[..., 8:20] = 1
    generators = [_seeded(seed) for seed in range(3)]
    keep = keep_outside(mask, source, generator=[_seeded(seed) for seed in range(3)])
    mode = Mode(sampler=sampler, num_steps=4)
    made = sample(model, model.encode(source), pose_map, mode=mode, generator=generators, callback=keep)
    outside = mask.expand_as(made) == 0
    torch.testing.assert_close(made[outside], source[outside])
    assert (made[~outside] - source[~outside]).abs().mean() > 0.05


def test_the_released_way_leaves_the_least_noise_outside(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    keep = keep_outside(torch.zeros(3, 1, *SIZE), source, generator=_seeded(3), released=True)
    made = sample(model, model.encode(source), pose_map, mode=SHORT, generator=_seeded(), callback=keep)
    assert 0.005 < (made - source).std().item() < 0.015, "sigma at timestep 0 is 0.01"


def test_styles_and_noise_are_mixed(model: Pidm, source: Tensor) -> None:
    first, second = model.encode(source[:1]), model.encode(source[1:2])
    assert all(torch.equal(one, mixed) for one, mixed in zip(first, mix_styles(first, second, 0.0), strict=True))
    torch.testing.assert_close(mix_styles(first, second, 0.25)[3], 0.75 * first[3] + 0.25 * second[3])
    with pytest.raises(ConfigError, match="6 and 5 maps"):
        mix_styles(first, second[:-1], 0.5)

    one, other = torch.randn(2, 3, 32, 32, generator=_seeded()), torch.randn(2, 3, 32, 32, generator=_seeded(1))
    torch.testing.assert_close(mix_noise(one, other, 0.0), one)
    torch.testing.assert_close(mix_noise(one, other, torch.tensor([1.0, 1.0])), other)
    assert mix_noise(one, other, 0.5).std().item() == pytest.approx(1, abs=0.05), "a mean would have 0.71"
    torch.testing.assert_close(mix_noise(one, one, 0.3), one)


def test_a_run_ends_where_the_config_says(model: Pidm, source: Tensor, pose_map: Tensor) -> None:
    early, steps = Pidm(replace(model.config, last_timestep=200)).eval(), list[Step]()
    early.load_state_dict(model.state_dict())
    made = sample(early, early.encode(source), pose_map, mode="balanced", generator=_seeded(), callback=steps.append)
    assert 5 < len(steps) < 20 and steps[-1].level.timestep >= 200
    torch.testing.assert_close(made, steps[-1].x0.float().clamp(-1, 1))
