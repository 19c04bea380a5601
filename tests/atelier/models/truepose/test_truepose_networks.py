"""Two identical UNets of diffusers, told of a source's face and garment by attention that starts as plain reference."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from atelier.errors import ConfigError, WeightsError
from atelier.models.truepose import TruePose, truepose, truepose_closet
from atelier.models.truepose.networks_fusion import Fusing, region_keys_values
from atelier.models.truepose.networks_siamese import Siamese, without
from atelier.models.truepose.networks_unet import attention_blocks, attention_grids, predicted, read_unet, walk
from atelier.models.truepose.regions import region_masks, touched
from tests.atelier.models.truepose.truepose_tiny import FACE, SIZE, TINY, UPPER, filled, parses


def _told(model: TruePose, source: Tensor, parse: Tensor, pose: Tensor) -> Any:
    return model.tell(model.encode(source, parse), pose)


def _noisy(count: int = 3) -> tuple[Tensor, Tensor]:
    x_t = torch.randn(count, 4, SIZE[0] // 2, SIZE[1] // 2, generator=torch.Generator().manual_seed(2))
    return x_t, torch.tensor([3, 500, 990])[:count]


def test_both_unets_are_built_alike_and_our_walk_is_theirs(source: Tensor) -> None:
    model = TruePose(TINY)
    shapes = [{key: value.shape for key, value in unet.state_dict().items()}
              for unet in (model.siamese.target_net, model.siamese.source_net)]  # fmt: skip
    assert shapes[0] == shapes[1]
    plain: Any = filled(UNet2DConditionModel(**TINY.unet_settings())).eval()
    x_t, timestep = _noisy()
    tokens = torch.randn(3, 4, TINY.token_width, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        theirs = plain(x_t, timestep, tokens).sample
        ours = predicted(plain, walk(plain, x_t, timestep, tokens, {}))
    torch.testing.assert_close(ours, theirs)


def test_uneven_halvings_are_walked_too() -> None:
    config = dataclasses.replace(TINY, widths=(16, 16, 16), attention=(True, True, False))
    plain: Any = filled(UNet2DConditionModel(**config.unet_settings())).eval()
    x_t, tokens = torch.randn(1, 4, 16, 6), torch.randn(1, 4, config.token_width)
    with torch.no_grad():
        theirs = plain(x_t, torch.tensor([7]), tokens).sample
        ours = predicted(plain, walk(plain, x_t, torch.tensor([7]), tokens, {}))
    torch.testing.assert_close(ours, theirs)
    assert attention_grids(config, (16, 6)) == {96: (16, 6), 24: (8, 3), 8: (4, 2)}


def test_the_published_size_is_stable_diffusions_and_runs_at_512x352() -> None:
    config = truepose()
    with torch.device("meta"):
        siamese = Siamese(config)
        latents = torch.empty(1, *config.latent_shape((512, 352)))
        masks = torch.empty(1, 2, 512, 352, dtype=torch.bool)
        source = siamese.see(latents, masks, torch.empty(3, 257, 1024), torch.ones(1, 3))
        told = siamese.tell(source, torch.empty(1, 3, 512, 352))
        prediction = siamese(latents, torch.ones(1), told)
    assert sum(value.numel() for value in siamese.target_net.parameters()) == 859_520_964  # as published
    assert sum(value.numel() for value in siamese.source_net.parameters()) == 859_520_964
    assert prediction.shape == (1, 4, 64, 44)
    assert source["garment"]["keys"][0].shape == (1, 64 * 44 // 2, 320)


def test_the_closet_model_fits_what_it_may_weigh() -> None:
    with torch.device("meta"):
        model = TruePose(truepose_closet())
    assert 2 * sum(value.numel() for value in model.parameters()) < 9_000_000


def test_fusion_starts_as_plain_reference_attention(source: Tensor, parse: Tensor, pose: Tensor) -> None:
    """K and V are those of target and source together, as diffusers' own attention computes them."""
    model = TruePose(TINY)
    block = attention_blocks(model.siamese.target_net)[0]
    generator = torch.Generator().manual_seed(4)
    target, reference = (torch.randn(3, 128, 16, generator=generator) for _ in range(2))
    layer, gates = block.attn1, model.siamese.conditions.fusion
    told: dict[str, Any] = {"keys": [layer.to_k(reference)], "values": [layer.to_v(reference)]}
    told |= region_keys_values(told, region_masks(parse), {128: (16, 8)}, TINY)
    ours = Fusing(0)(layer, target, told=told, gates=gates)
    theirs = AttnProcessor2_0()(layer, target, encoder_hidden_states=torch.cat([target, reference], 1))
    torch.testing.assert_close(ours, theirs)

    assert gates is not None
    filled(gates)  # what training may do to them
    assert not torch.allclose(Fusing(0)(layer, target, told=told, gates=gates), theirs, atol=1e-3)


def test_without_fusion_a_fresh_model_says_the_same(source: Tensor, parse: Tensor, pose: Tensor) -> None:
    torch.manual_seed(0)
    whole, plain = TruePose(TINY).eval(), TruePose(dataclasses.replace(TINY, fusion=False)).eval()
    plain.load_state_dict(whole.state_dict(), strict=False)
    x_t, timestep = _noisy()
    with torch.no_grad():
        said = [model.predict(x_t, timestep, _told(model, source, parse, pose)) for model in (whole, plain)]
    assert torch.equal(*said)
    assert "face" not in _told(plain, source, parse, pose)


def test_gates_let_a_trained_model_use_its_regions(model: TruePose, source: Tensor, pose: Tensor) -> None:
    x_t, timestep = _noisy()
    parse = parses(3)
    moved = parse.roll(6, 1)
    told, other = (_told(model, source, labels, pose) for labels in (parse, moved))
    assert not torch.allclose(model.predict(x_t, timestep, told), model.predict(x_t, timestep, other), atol=1e-4)


def test_an_empty_region_adds_nothing_and_is_no_nan(source: Tensor, parse: Tensor, pose: Tensor) -> None:
    model = filled(TruePose(TINY))
    faceless = torch.where(parse == FACE, torch.zeros_like(parse), parse)
    faceless[1] = 0  # nobody at all
    x_t, timestep = _noisy()
    told = _told(model, source, faceless, pose)
    prediction = model.predict(x_t, timestep, told)
    assert prediction.isfinite().all()
    prediction.square().mean().backward()
    assert all(value.grad.isfinite().all() for value in model.parameters() if value.grad is not None)

    with torch.no_grad():
        elsewhere = {**told, "face": {**told["face"], "values": [value + 5 for value in told["face"]["values"]]}}
        assert torch.equal(model.predict(x_t, timestep, told), model.predict(x_t, timestep, elsewhere))


def test_regions_select_their_own_tokens(parse: Tensor) -> None:
    grids = {128: (16, 8), 32: (8, 4)}
    source = {name: [torch.arange(float(number))[None, :, None].expand(3, -1, 16) for number in grids]
              for name in ("keys", "values")}  # fmt: skip
    masks = region_masks(parse)
    found = region_keys_values(source, masks, grids, dataclasses.replace(TINY, face_share=0.5))
    for place, (name, label) in enumerate((("face", FACE), ("garment", UPPER))):
        for index, grid in enumerate(grids.values()):
            inside = touched(parse == label, grid)
            for row in range(3):
                counts = found[name]["bias"][index][row, 0, 0] == 0
                chosen = found[name]["keys"][index][row, counts, 0].long()
                assert set(chosen.tolist()) <= set(inside[row].nonzero().flatten().tolist()), (name, place)
                assert len(chosen) == min(int(inside[row].sum()), len(counts))


def test_what_is_not_told_is_not_known(model: TruePose, source: Tensor, parse: Tensor, pose: Tensor) -> None:
    x_t, timestep = _noisy()
    told, other = (_told(model, picture, parse, pose) for picture in (source, -source))
    one, two = (model.predict(x_t, timestep, without(each, source=True, pose=False)) for each in (told, other))
    assert torch.equal(one, two)
    some = without(told, source=torch.tensor([True, False, False]), pose=torch.tensor([False, True, False]))
    mixed, full = model.predict(x_t, timestep, some), model.predict(x_t, timestep, told)
    torch.testing.assert_close(mixed[0], one[0])
    torch.testing.assert_close(mixed[2], full[2])
    other_pose = model.tell(model.encode(source, parse), 1 - pose)
    unposed = model.predict(x_t, timestep, without(other_pose, source=False, pose=True))
    torch.testing.assert_close(mixed[1], unposed[1])


def test_a_guider_that_learned_nothing_adds_nothing(source: Tensor, parse: Tensor, pose: Tensor) -> None:
    model = TruePose(TINY)
    assert not model.tell(model.encode(source, parse), pose)["pose"].any()


def test_unets_come_from_local_folders(tmp_path: Path) -> None:
    plain: Any = filled(UNet2DConditionModel(**TINY.unet_settings()))
    plain.save_pretrained(tmp_path / "unet")
    read = read_unet(tmp_path / "unet", TINY)
    assert all(torch.equal(value, read.state_dict()[key]) for key, value in plain.state_dict().items())
    with pytest.raises(WeightsError, match=r"block_out_channels is \[16, 16\], must be \[16, 32\]"):
        read_unet(tmp_path / "unet", dataclasses.replace(TINY, widths=(16, 32)))
    with pytest.raises(WeightsError, match="is no folder with a UNet2DConditionModel"):
        read_unet(tmp_path / "absent", TINY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": (True,)}, "attention: says 1 levels, widths 2"),
        ({"guider_widths": (8,)}, "guider_widths: has 1 sizes"),
        ({"widths": (16, 18)}, "18 channels are not divided"),
        ({"face_share": 0.0}, "face_share: is 0.0"),
        ({"prediction": "eps"}, "zero_terminal_snr: needs prediction 'v'"),
        ({"working_size": (34, 16)}, "working_size: is 34x16"),
    ],
)
def test_configs_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TINY, **changes)
