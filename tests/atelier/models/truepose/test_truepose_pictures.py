"""Sampling reads a source once, a picture is its row's alone, and edits leave the rest as it was."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionModel

from atelier.errors import ConfigError, WeightsError
from atelier.models.diffusion.modes import Mode
from atelier.models.diffusion.steps import SamplingStopped, Step
from atelier.models.truepose import TruePose
from atelier.models.truepose.convert import convert
from atelier.models.truepose.editing import edit, with_garment
from atelier.models.truepose.networks_autoencoder import build_autoencoder
from atelier.models.truepose.networks_clip import ClipImageEncoder
from atelier.models.truepose.networks_unet import build_unet
from atelier.models.truepose.sampling import sample
from tests.atelier.models.truepose.truepose_tiny import TINY, UPPER, filled, write_clip

SHORT = Mode(num_steps=4)
WITH_CLIP = dataclasses.replace(TINY, encoder="clip")


def _generators(count: int = 3) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


@contextmanager
def _counted(model: TruePose) -> Iterator[Counter[str]]:
    """Passes of each network, by what every pass of it begins with."""
    counts: Counter[str] = Counter()
    begins = {
        "target_net": model.siamese.target_net.conv_in,
        "source_net": model.siamese.source_net.conv_in,
        "guider": model.siamese.conditions.guider,
        "encoder": model.encoder,
        "coarse": model.siamese.target_net.down_blocks[1],
    }

    def count(name: str):
        def hook(module, args, output) -> None:
            counts[name] += 1

        return hook

    handles = [module.register_forward_hook(count(name)) for name, module in begins.items()]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize(("scale", "every", "coarse"), [(2.0, 1, 4), (1.0, 1, 4), (2.0, 2, 2)])
def test_what_knows_no_noise_is_computed_once(
    model: TruePose, source: Tensor, parse: Tensor, pose: Tensor, scale: float, every: int, coarse: int
) -> None:
    with _counted(model) as counts:
        picture = sample(
            model,
            model.encode(source, parse),
            pose,
            mode=Mode(num_steps=4, reuse_every=every),
            source_scale=scale,
            generator=_generators(),
        )
    assert counts == {"source_net": 1, "encoder": 1, "guider": 1, "target_net": 4, "coarse": coarse}
    assert picture.shape == source.shape and picture.isfinite().all()


def test_a_run_ends_where_the_config_says(model: TruePose, source: Tensor, parse: Tensor, pose: Tensor) -> None:
    early, steps = TruePose(dataclasses.replace(model.config, last_timestep=300)).eval(), list[Step]()
    early.load_state_dict(model.state_dict())
    told = early.encode(source, parse)
    made = sample(early, told, pose, mode="balanced", generator=_generators(), callback=steps.append)
    assert 5 < len(steps) < 20 and steps[-1].level.timestep >= 300
    torch.testing.assert_close(made, early.to_picture(steps[-1].x0))


def test_a_picture_is_its_rows_alone(model: TruePose, source: Tensor, parse: Tensor, pose: Tensor) -> None:
    together = sample(model, model.encode(source, parse), pose, mode=SHORT, generator=_generators())
    row = slice(1, 2)
    alone = sample(model, model.encode(source[row], parse[row]), pose[row], mode=SHORT, generator=_generators()[row])
    torch.testing.assert_close(alone[0], together[1], atol=1e-3, rtol=1e-3)


def test_guidance_and_modes_are_heard(model: TruePose, source: Tensor, parse: Tensor, pose: Tensor) -> None:
    told = model.encode(source, parse)
    made = [
        sample(model, told, pose, mode=mode, source_scale=scale, generator=_generators())
        for mode, scale in ((SHORT, 1.0), (SHORT, 3.0), ("fast", 1.0), (Mode(num_steps=4, guided=(0.2, 0.8)), 3.0))
    ]
    for first in range(len(made)):
        for second in range(first):
            assert not torch.allclose(made[first], made[second], atol=1e-2)


def test_sampling_stops_when_asked_and_refuses_what_cannot_be(
    model: TruePose, source: Tensor, parse: Tensor, pose: Tensor
) -> None:
    told = model.encode(source, parse)
    with pytest.raises(SamplingStopped, match="stopped after 0 of"):
        sample(model, told, pose, mode=SHORT, generator=_generators(), stop=lambda: True)
    with pytest.raises(ConfigError, match="give the noise"):
        sample(model, told, pose, mode=SHORT)
    with pytest.raises(ConfigError, match=r"noise: is \[3, 4, 8, 8\]"):
        sample(model, told, pose, mode=SHORT, noise=torch.zeros(3, 4, 8, 8))
    with pytest.raises(ConfigError, match="working_size: is 30x16"):
        model.encode(source[:, :, :30], parse[:, :30])


def test_an_edit_leaves_the_rest_bit_for_bit(model: TruePose, source: Tensor, parse: Tensor, pose: Tensor) -> None:
    region = parse == UPPER
    made = edit(model, source, region, model.encode(-source, parse), pose, mode=SHORT, generator=_generators())
    outside = ~region[:, None].expand_as(source)
    assert torch.equal(made[outside], source[outside])
    assert (made[~outside] != source[~outside]).float().mean() > 0.9


def test_another_garment_takes_the_place_of_the_persons(
    model: TruePose, source: Tensor, parse: Tensor, pose: Tensor
) -> None:
    x_t, timestep = torch.randn(3, 4, 16, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([1, 400, 900])
    person, other = model.encode(source, parse), model.encode(source.flip(0), parse)

    def predicted(person: Any, garment: Any) -> Tensor:
        mixed = with_garment(model, person, parse, garment, parse)
        return model.predict(x_t, timestep, model.tell(mixed, pose))

    made = predicted(person, other)
    assert not torch.allclose(made, model.predict(x_t, timestep, model.tell(person, pose)), atol=1e-3)
    # Of the person nothing is read where their garment was, of the other nothing but theirs.
    mask = torch.nn.functional.adaptive_max_pool2d((parse == UPPER)[:, None].float(), (16, 8)).flatten(1)[..., None]
    stripped, isolated = dict(person), dict(other)
    for name in ("keys", "values"):
        stripped[name] = [layer + 9 * mask if layer.shape[1] == 128 else layer for layer in person[name]]
        isolated[name] = [layer + 9 * (1 - mask) if layer.shape[1] == 128 else layer for layer in other[name]]
    torch.testing.assert_close(predicted(stripped, isolated), made)
    guided = sample(model, with_garment(model, person, parse, other, parse), pose, mode=SHORT, generator=_generators())
    assert guided.isfinite().all()


def test_weights_come_back_at_half_precision_too(model: TruePose, tmp_path: Path) -> None:
    digest = model.save_pretrained(tmp_path / "half", dtype=torch.float16)
    assert len(digest) == 64
    loaded = TruePose.from_pretrained(tmp_path / "half")
    assert loaded.config == TINY and not loaded.training
    for mine, theirs in zip(model.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(theirs, mine.half().float())


def test_clip_comes_from_a_local_folder(tmp_path: Path, source: Tensor, parse: Tensor, pose: Tensor) -> None:
    with pytest.raises(ConfigError, match="encoder: the config says 'clip'"):
        TruePose(WITH_CLIP)
    with pytest.raises(WeightsError, match="encoder_width is 8, must be 16"):
        ClipImageEncoder.from_folder(write_clip(tmp_path / "narrow", hidden_size=8), WITH_CLIP)
    with pytest.raises(WeightsError, match="is no folder with CLIP's picture tower"):
        ClipImageEncoder.from_folder(tmp_path / "absent", WITH_CLIP)
    encoder = ClipImageEncoder.from_folder(write_clip(tmp_path / "clip"), WITH_CLIP)
    model = TruePose(WITH_CLIP, encoder=encoder).eval()
    model.save_pretrained(tmp_path / "whole")
    loaded = TruePose.from_pretrained(tmp_path / "whole")
    with torch.no_grad():
        told, again = (each.encode(source, parse)["tokens"]["keys"] for each in (model, loaded))
    assert told[0].shape[1] == 3 * 5  # a class token and 2x2 patches of each view
    assert torch.equal(told[0], again[0])
    assert not any(value.requires_grad for value in model.train().encoder.parameters()) and not encoder.clip.training

    other = tmp_path / "other"
    torch.manual_seed(1)
    changed: Any = CLIPVisionModel.from_pretrained(tmp_path / "clip")
    filled(changed).save_pretrained(other)
    with pytest.raises(WeightsError, match="clip: the weights are"):
        TruePose.from_pretrained(tmp_path / "whole", clip=other)


def test_a_training_begins_from_stable_diffusions_folder(tmp_path: Path) -> None:
    unet, vae = filled(build_unet(WITH_CLIP)), filled(build_autoencoder(WITH_CLIP), 1)
    unet.save_pretrained(tmp_path / "sd" / "unet")
    vae.save_pretrained(tmp_path / "sd" / "vae")
    clip = write_clip(tmp_path / "clip")
    convert(stable_diffusion=tmp_path / "sd", clip=clip, out=tmp_path / "truepose", config=WITH_CLIP)
    model = TruePose.from_pretrained(tmp_path / "truepose", clip=clip)
    for network, wanted in (
        (model.siamese.target_net, unet),
        (model.siamese.source_net, unet),
        (model.vae.vae, vae),
    ):
        assert all(torch.equal(value, wanted.state_dict()[key]) for key, value in network.state_dict().items())
    gates = model.siamese.conditions.fusion
    assert gates is not None and not any(value.any() for value in gates.parameters())
    narrower = dataclasses.replace(WITH_CLIP, autoencoder_widths=(4, 8))
    with pytest.raises(WeightsError, match=r"block_out_channels is .*, must be \[4, 8\]"):
        convert(stable_diffusion=tmp_path / "sd", clip=clip, out=tmp_path / "no", config=narrower)
