"""HumanDiffusion's networks: words reach their regions and no others, nothing is no number, parts can be taken away."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from atelier.closet import Look
from atelier.errors import ConfigError, WeightsError
from atelier.memory import Memory
from atelier.models.human_diffusion import (
    Description,
    HumanDiffusion,
    HumanDiffusionConfig,
    human_diffusion,
    human_diffusion_closet,
)
from atelier.models.human_diffusion.networks_alignment import attention_bias, coverage_at
from atelier.models.human_diffusion.networks_unet import UNet, trimmed
from atelier.models.human_diffusion.regions import NUM_REGIONS, check_pose_map
from atelier.models.layers.pixels import one_hot
from tests.atelier.models.human_diffusion.conftest import SIZE, make

TOP, PANTS, HAIR = 1, 5, 13
SAID = Description(phrases={"top": "red shirt", "pants": "navy trousers", "hair": "long black hair"}, person="person")


def _halves() -> Tensor:
    """Top in the upper half, pants in the lower, neither beside the other's positions at any level."""
    pose_map = torch.full((1, *SIZE), TOP, dtype=torch.uint8)
    pose_map[:, SIZE[0] // 2 :] = PANTS
    return pose_map


def _noise(num_rows: int) -> Tensor:
    return torch.randn(num_rows, 3, *SIZE, generator=torch.Generator().manual_seed(5))


def test_words_reach_their_own_region_and_no_other(tiny_config: HumanDiffusionConfig) -> None:
    """One alignment block: positions of a region change with its words, the others stay bit for bit."""
    model = make(dataclasses.replace(tiny_config, stylized_memory=False))
    alignment = model.unet.down[0].alignment
    coverage = coverage_at(one_hot(_halves(), NUM_REGIONS), 2)
    bias = attention_bias(coverage, torch.zeros(1, NUM_REGIONS, 1), aligned=True)
    features = torch.randn(1, 16, *coverage.shape[2:], generator=torch.Generator().manual_seed(0))
    outputs = []
    with torch.no_grad():
        for description in (SAID, SAID.changed(top="green hoodie"), SAID.changed(hair="white bob")):
            prepared = alignment.prepare(*model.unet.tokens(model.encode([description])))
            outputs.append(alignment(features, prepared.keys_values, prepared.modulation, coverage, bias))
    changed = (outputs[0] != outputs[1]).any(1)
    half = SIZE[0] // 4
    assert bool(changed[:, :half].all()) and not bool(changed[:, half:].any())
    assert torch.equal(outputs[0], outputs[2])  # no hair in the map: its words reach nothing


def test_small_regions_are_not_lost_at_coarse_levels() -> None:
    pose_map = torch.zeros(1, *SIZE, dtype=torch.uint8)
    pose_map[0, 3, 3] = HAIR
    coverage = coverage_at(one_hot(pose_map, NUM_REGIONS), 8)
    assert coverage[0, HAIR, 0, 0] == pytest.approx(1 / 64) and torch.allclose(coverage.sum(1), torch.ones(1, 8, 4))
    bias = attention_bias(coverage, torch.zeros(1, NUM_REGIONS, 1), aligned=True)
    assert bias[0, 0, 0, HAIR].isfinite() and bias[0, 0, 1, HAIR] == float("-inf")


@pytest.mark.parametrize("said", [SAID, Description(), Description(phrases={"top": "qwrt"}, person="zzz")])
def test_an_empty_region_gives_no_nan(model: HumanDiffusion, memory: Memory, said: Description) -> None:
    """Maps of one label, regions without words, words without a region, a memory that holds nothing for them."""
    pose_map = torch.tensor([0, TOP, 23], dtype=torch.uint8)[:, None, None].repeat(1, *SIZE)
    for tokens in (model.encode([said] * 3), model.encode([said] * 3, memory)):
        for told in (tokens, tokens.without(text=True), tokens.without(text=True, memory=True)):
            output = model.denoise(_noise(3), torch.tensor([3, 20, 40]), pose_map, told)
            output.square().mean().backward()
            assert bool(output.isfinite().all())
    for name, parameter in model.unet.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
    model.zero_grad(set_to_none=True)


def test_every_input_reaches_the_prediction(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor
) -> None:
    tokens = model.encode([looks[0].caption], memory)
    assert bool(tokens.remembered.any())
    told = model.tell(pose_maps[:1], tokens)
    with torch.no_grad():
        base = model.predict(_noise(1), torch.tensor([3]), told)
        others = [
            model.predict(_noise(1) * 0.9, torch.tensor([3]), told),
            model.predict(_noise(1), torch.tensor([4]), told),
            model.denoise(_noise(1), torch.tensor([3]), pose_maps[1:2], tokens),
            model.denoise(_noise(1), torch.tensor([3]), pose_maps[:1], tokens.without(text=True)),
            model.denoise(_noise(1), torch.tensor([3]), pose_maps[:1], tokens.without(memory=True)),
            model.denoise(_noise(1), torch.tensor([3]), pose_maps[:1], model.encode(["a person"], memory)),
        ]
        again = model.denoise(_noise(1), torch.tensor([3]), pose_maps[:1], tokens)
    assert torch.equal(base, again) and base.shape == (1, 3, *SIZE)
    for index, other in enumerate(others):
        assert not torch.allclose(base, other, atol=1e-4), index


def test_all_weights_of_the_denoiser_learn(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor
) -> None:
    captions = [looks[0].caption, "shoes"]
    tokens = model.encode(captions, memory)
    model.denoise(_noise(2), torch.tensor([3, 20]), pose_maps[:2], tokens).square().mean().backward()
    still = [name for name, weight in model.unet.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == ["tokens.unsaid_person"] or still == []
    assert all(weight.grad is None for weight in model.encoders.parameters())
    model.zero_grad(set_to_none=True)


def test_rows_do_not_depend_on_each_other(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor
) -> None:
    captions = [look.caption for look in looks[:3]]
    times = torch.tensor([1, 20, 40])
    with torch.no_grad():
        together = model.denoise(_noise(3), times, pose_maps[:3], model.encode(captions, memory))
        for row in range(3):
            alone = model.encode(captions[row : row + 1], memory)
            part = slice(row, row + 1)
            output = model.denoise(_noise(3)[part], times[part], pose_maps[part], alone)
            assert torch.allclose(together[part], output, atol=1e-5)


def test_text_and_memory_are_dropped_row_by_row(model: HumanDiffusion, memory: Memory, looks: list[Look]) -> None:
    tokens = model.encode([looks[0].caption] * 3, memory)
    dropped = tokens.without(text=torch.tensor([True, False, False]), memory=torch.tensor([False, True, False]))
    assert dropped.said.any(1).tolist() == [False, True, True]
    assert dropped.remembered.any(1).tolist() == [True, False, True]
    assert dropped.log_weights.isfinite().flatten(1).any(1).tolist() == [True, False, True]
    assert bool(tokens.said.any(1).all())  # the tokens themselves are as they were


def test_an_items_own_crops_are_not_retrieved(model: HumanDiffusion, memory: Memory, looks: list[Look]) -> None:
    caption = looks[0].caption
    free, barred = model.encode([caption], memory), model.encode([caption], memory, excluded=["look-0"])
    own = [row for row, item in enumerate(memory.rows.column("item_id").to_pylist()) if item == "look-0"]
    kept = memory.values[own].flatten(0, 1)

    def holds_own(values: Tensor) -> bool:
        present = values[0].flatten(0, 1)
        return bool((present[:, None] == kept[None]).all(2).any())

    assert holds_own(free.values) and not holds_own(barred.values)
    with pytest.raises(ConfigError, match="2 item ids for a batch of 1"):
        model.encode([caption], memory, excluded=["a", "b"])


def test_parts_can_be_taken_away(
    model: HumanDiffusion, tiny_config: HumanDiffusionConfig, memory: Memory, looks: list[Look], pose_maps: Tensor
) -> None:
    captions = [looks[0].caption]
    sizes = {}
    for name, change in (("all", {}), ("smr", {"stylized_memory": False}), ("mca", {"aligned": False})):
        less = make(dataclasses.replace(tiny_config, **change), model.encoders)
        tokens = less.encode(captions, memory if name != "smr" else None)
        output = less.denoise(_noise(1), torch.tensor([3]), pose_maps[:1], tokens)
        assert bool(output.isfinite().all())
        sizes[name] = sum(weight.numel() for weight in less.unet.parameters())
        if name == "smr":
            with pytest.raises(ConfigError, match="stylized_memory=False"):
                less.encode(captions, memory)
    assert sizes["smr"] < sizes["all"] and sizes["mca"] < sizes["all"]


def test_a_memory_of_other_encoders_is_refused(tiny_config: HumanDiffusionConfig, memory: Memory) -> None:
    torch.manual_seed(3)
    other = HumanDiffusion(tiny_config)
    with pytest.raises(ConfigError, match="was made by encoders"):
        other.encode(["a red shirt"], memory)


def test_a_folder_gives_the_model_back(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor, tmp_path: Path
) -> None:
    digest = model.save_pretrained(tmp_path / "a", dtype=torch.float16)
    again = HumanDiffusion.from_pretrained(tmp_path / "a")
    assert again.save_pretrained(tmp_path / "b", dtype=torch.float16) == digest
    assert again.config == model.config and not again.training
    with torch.no_grad():
        output, wanted = (
            part.denoise(_noise(1), torch.tensor([3]), pose_maps[:1], part.encode([looks[0].caption], memory))
            for part in (again, model)
        )
    assert torch.allclose(output, wanted, atol=2e-2)
    (tmp_path / "a" / "encoders.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"encoders\.safetensors is missing"):
        HumanDiffusion.from_pretrained(tmp_path / "a")


def test_the_closet_model_keeps_to_its_bytes(tmp_path: Path) -> None:
    HumanDiffusion(human_diffusion_closet()).save_pretrained(tmp_path, dtype=torch.float16)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= 9_000_000


def test_the_published_size_is_built() -> None:
    with torch.device("meta"):
        unet = UNet(human_diffusion())
    assert 400e6 < sum(weight.numel() for weight in unet.parameters()) < 700e6
    assert human_diffusion().latent_shape((512, 256)) == (4, 64, 32)


def test_tokens_that_nobody_attends_to_are_left_out_and_not_missed(
    model: HumanDiffusion, memory: Memory, looks: list[Look], pose_maps: Tensor
) -> None:
    told = model.tell(pose_maps[:2], model.encode([look.caption for look in looks[:2]], memory))
    few = trimmed(told)
    assert all(few["biases"][level].shape[-1] < told["biases"][level].shape[-1] for level in range(2))
    for place, keys_values in enumerate(few["keys_values"]):
        level = min(place, len(few["keys_values"]) - 1 - place)
        assert keys_values.shape[1] == few["biases"][level].shape[-1]
    t = torch.tensor([3, 30])
    torch.testing.assert_close(
        model.predict(_noise(2), t, few), model.predict(_noise(2), t, told), atol=1e-5, rtol=1e-4
    )


def test_what_the_weights_never_saw_is_told() -> None:
    model = HumanDiffusion(human_diffusion_closet())
    assert model.warnings('a red striped T-shirt with the word "ZORB" and navy shoes') == ()
    told = model.warnings("a magenta shirt and a zorb")
    assert told == (
        "'magenta', said of top, is a word that the model never saw",
        "'zorb', said of the person, is a word that the model never saw",
    )
    open_model = HumanDiffusion(dataclasses.replace(human_diffusion_closet(), known_words=()))
    assert open_model.encoders.unseen("magenta zorb") == ()
    assert open_model.warnings("a zorb") == ("'zorb' belongs to no region that is known; every region is told",)


def test_new_words_and_new_combinations_have_features_of_their_own(model: HumanDiffusion) -> None:
    phrases = ["red shirt", "shirt red", "reddish shirt", "qipao", "", "the with of", "a" * 500]
    keys = model.encoders.read(model.encoders.tokenize(phrases))
    assert torch.allclose(keys.norm(dim=1), torch.ones(len(phrases)), atol=1e-5)
    assert torch.allclose(keys[4], keys[5])  # neither says anything
    for first in range(4):
        for second in range(first):
            assert not torch.allclose(keys[first], keys[second], atol=1e-5), (phrases[first], phrases[second])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"working_size": (60, 32)}, "60x32, both sides must be multiples of 8"),
        ({"retrieved_strides": (3,)}, r"retrieved_strides: \[3\] are none of the levels' strides"),
        ({"num_values": 3}, "num_values: is 3, must be a square number"),
        ({"num_groups": 5}, "num_groups: 5 does not divide"),
        ({"image_share": 1.5}, "image_share: is 1.5"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tiny_config: HumanDiffusionConfig, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(tiny_config, **change)


def test_config_survives_json(tiny_config: HumanDiffusionConfig) -> None:
    assert HumanDiffusionConfig.from_json(tiny_config.to_json()) == tiny_config
    with pytest.raises(ConfigError, match="'pidm', must be 'human_diffusion'"):
        HumanDiffusionConfig.from_json({"model": "pidm"})


def test_a_label_outside_the_set_is_refused() -> None:
    pose_map = torch.zeros(1, 4, 4, dtype=torch.uint8)
    check_pose_map(pose_map)
    pose_map[0, 0] = 24
    with pytest.raises(ConfigError, match=r"labels \[24\], must be 0..23"):
        check_pose_map(pose_map)
