"""The small VITON-HD: its stages are its forward, its rows are independent, its modes keep the picture."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from atelier.errors import ConfigError, WeightsError
from atelier.models.layers.pixels import mask_from_bytes, one_hot, picture_from_bytes
from atelier.models.viton_hd import (
    InferenceOptions,
    VitonHD,
    VitonHDConfig,
    draw_segmentation_noise,
    viton_hd,
    viton_hd_closet,
)
from atelier.models.viton_hd.networks import NETWORKS
from atelier.models.viton_hd.networks_alias import region_norm
from tests.parity.fill import fill, keys_of

SIZE = (256, 192)
ROWS = 2


def _seeds(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights by the parity tests' rule, whose pictures are varied, with noise."""
    model = VitonHD(viton_hd_closet())
    for name in NETWORKS:
        network = model.get_submodule(name)
        network.load_state_dict(fill(keys_of(network), with_noise=True))
    folder = tmp_path_factory.mktemp("small")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> VitonHD:
    return VitonHD.from_pretrained(folder, options=None)


@pytest.fixture(scope="module")
def columns() -> dict[str, Tensor]:
    """What travels between stages, as bytes and ids; smooth, as pictures are."""
    generator = torch.Generator().manual_seed(0)

    def smooth() -> Tensor:
        coarse = torch.rand(ROWS, 3, 8, 6, generator=generator)
        return F.interpolate(coarse, size=SIZE, mode="bilinear").mul(255).byte().permute(0, 2, 3, 1).contiguous()

    return {
        "agnostic_person": smooth(),
        "pose_image": smooth(),
        "garment": smooth(),
        "garment_mask": (smooth()[..., 0] > 120).byte(),
        "agnostic_parse": (smooth()[..., 0] // 20).clamp(0, 12),
        "segmentation_noise": draw_segmentation_noise(_seeds(1, 2), viton_hd_closet().segmentation_size),
    }


def _layout(model: VitonHD, columns: dict[str, Tensor]) -> Tensor:
    names = ("pose_image", "garment", "garment_mask", "agnostic_parse", "segmentation_noise")
    return model.layout(*(columns[name] for name in names))


def _try_on(model: VitonHD, columns: dict[str, Tensor], *seeds: int) -> Tensor:
    layout = _layout(model, columns)
    pictures = [columns[name] for name in ("agnostic_person", "pose_image", "garment")]
    theta = model.warp(*pictures, layout)
    return model.synthesize(*pictures, columns["garment_mask"], layout, theta, generator=_seeds(*seeds))


def _decibels(image: Tensor, reference: Tensor) -> float:
    error = (image.float() - reference.float()).square().mean().clamp_min(1e-12)
    return (10 * torch.log10(255**2 / error)).item()


def test_stages_are_the_forward_to_one_gray_level(model: VitonHD, columns: dict[str, Tensor]) -> None:
    with torch.no_grad():
        whole = model(
            *(picture_from_bytes(columns[name]) for name in ("agnostic_person", "pose_image", "garment")),
            mask_from_bytes(columns["garment_mask"]),
            one_hot(columns["agnostic_parse"], 13),
            columns["segmentation_noise"].float(),
            generator=_seeds(1, 2),
        )
    assert torch.equal(one_hot(_layout(model, columns), 7), whole.layout)
    assert (picture_from_bytes(_try_on(model, columns, 1, 2)) - whole.image).abs().max() <= 1 / 127.5
    assert whole.segmentation.shape == (ROWS, 13, *model.config.segmentation_size)
    assert whole.theta.shape == (ROWS, 50) and whole.grid.shape == (ROWS, *SIZE, 2)
    assert whole.warped_garment.shape == whole.image.shape == (ROWS, 3, *SIZE)
    assert whole.warped_garment_mask.shape == (ROWS, 1, *SIZE)


def test_picture_does_not_depend_on_batch_mates(model: VitonHD, columns: dict[str, Tensor]) -> None:
    together = _try_on(model, columns, 1, 2)
    alone = _try_on(model, {name: column[1:] for name, column in columns.items()}, 2)
    assert (alone[0].int() - together[1].int()).abs().max() <= 1
    other = _try_on(model, columns, 1, 3)
    assert (other[1] != together[1]).any(), "the seed matters"


def test_one_generator_draws_for_the_batch_in_the_published_order(model: VitonHD) -> None:
    noise = model.alias.draw_noise(2, (64, 32), torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    assert [maps.shape[-2:] for maps in noise] == [(2 * scale, scale) for scale in (1, 2, 4, 8, 16, 32)]
    for maps in noise:
        for drawn in maps:  # of one norm: a map a row, drawn by (width, height)
            expected = torch.randn(2, *reversed(drawn.shape[-2:]), 1, generator=generator)
            assert torch.equal(drawn, expected.transpose(1, 3))


def test_segmentation_noise_is_binary_with_the_published_share() -> None:
    noise = draw_segmentation_noise(_seeds(*range(4)), (256, 192))
    assert noise.dtype == torch.uint8 and noise.max() == 1
    assert noise.float().mean().item() == pytest.approx(0.1587, abs=0.003)
    assert torch.equal(noise[2], draw_segmentation_noise(_seeds(2), (256, 192))[0])


def test_region_norm_normalizes_each_region_by_itself() -> None:
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :5, :] = 1.0
    x = x + 7 * mask
    normalized = region_norm(x, mask)
    for rows in (slice(0, 5), slice(5, 16)):
        region, expected = normalized[0, :, rows], x[0, :, rows]
        expected = (expected - expected.mean((1, 2), keepdim=True)) / expected.std((1, 2), keepdim=True, correction=0)
        torch.testing.assert_close(region, expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(region_norm(x, torch.zeros_like(mask)), F.instance_norm(x))


@pytest.mark.parametrize(
    ("options", "decibels"),
    [
        (InferenceOptions(), 80),
        (InferenceOptions(channels_last=True), 60),
        (InferenceOptions(bfloat16=True), 35),
        (InferenceOptions(bfloat16=True, channels_last=True), 35),
    ],
)
def test_inference_mode_keeps_the_picture(
    folder: Path, model: VitonHD, columns: dict[str, Tensor], options: InferenceOptions, decibels: float
) -> None:
    fast = VitonHD.from_pretrained(folder, options)
    assert _decibels(_try_on(fast, columns, 1, 2), _try_on(model, columns, 1, 2)) >= decibels
    with pytest.raises(ConfigError, match="options=None"):
        fast.save_pretrained(folder / "again")


_COMPILED = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
from atelier.models.viton_hd import InferenceOptions, VitonHD
folder = Path(sys.argv[1])
columns = load_file(folder / "inputs")
layout, theta = columns.pop("layout"), columns.pop("theta")
model = VitonHD.from_pretrained(folder / "weights", InferenceOptions(compile=True))
generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
save_file({"image": model.synthesize(**columns, layout=layout, theta=theta, generator=generators)}, folder / "outputs")
"""


@pytest.mark.long
def test_compiled_model_keeps_the_picture(tmp_path: Path, model: VitonHD, columns: dict[str, Tensor]) -> None:
    # In a process of its own: the shape checks that this one hooks into every call cannot be compiled.
    model.save_pretrained(tmp_path / "weights")
    layout = _layout(model, columns)
    names = ("agnostic_person", "pose_image", "garment")
    theta = model.warp(*(columns[name] for name in names), layout)
    inputs = {name: columns[name] for name in (*names, "garment_mask")}
    save_file({**inputs, "layout": layout, "theta": theta}, tmp_path / "inputs")
    subprocess.run([sys.executable, "-c", _COMPILED, str(tmp_path)], check=True, cwd=Path(__file__).parents[3])
    image = load_file(tmp_path / "outputs")["image"]
    assert _decibels(image, _try_on(model, columns, 1, 2)) >= 60


def test_folder_round_trip(tmp_path: Path, folder: Path, model: VitonHD) -> None:
    digest = model.save_pretrained(tmp_path / "again")
    again = VitonHD.from_pretrained(tmp_path / "again", options=None)
    assert again.config == model.config
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert again.save_pretrained(tmp_path / "third") == digest
    (tmp_path / "again" / "matching.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"matching\.safetensors is missing"):
        VitonHD.from_pretrained(tmp_path / "again")


@pytest.mark.parametrize("config", [viton_hd(), viton_hd_closet()])
def test_config_round_trip(config: VitonHDConfig) -> None:
    assert VitonHDConfig.from_json(config.to_json()) == config


def test_config_of_another_model() -> None:
    with pytest.raises(ConfigError, match="model: is 'pidm', must be 'viton_hd'"):
        VitonHDConfig.from_json({"model": "pidm"})
    with pytest.raises(ConfigError, match="alias_width: no such field"):
        VitonHDConfig.from_json({**viton_hd().to_json(), "alias_width": 3})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("alias_widths", "x", "alias_widths: is 'x', must be a list of whole numbers"),
        ("alias_widths", [1, "x"], r"alias_widths: is \[1, 'x'\], must be a list of whole numbers"),
        ("working_size", [256], r"working_size: is \[256\], must be a list of 2 whole numbers"),
        ("num_misaligned_blocks", True, "num_misaligned_blocks: is True, must be a whole number"),
        ("blur_sigma", "3", "blur_sigma: is '3', must be a number"),
        ("blur_kernel", 7.0, "blur_kernel: is 7.0, must be a whole number"),
    ],
)
def test_a_value_of_another_type_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VitonHDConfig.from_json({**viton_hd_closet().to_json(), field: value})


def test_a_field_that_is_not_given_is_named_where_its_default_does_not_go_with_the_rest() -> None:
    values = viton_hd_closet().to_json()
    assert VitonHDConfig.from_json({**values, "blur_sigma": 1}).blur_sigma == 1  # JSON writes a whole float so
    del values["alias_widths"]
    with pytest.raises(ConfigError, match=r"^alias_widths \(a list of whole numbers\): not given, .* working_size: is"):
        VitonHDConfig.from_json(values)
    values = viton_hd().to_json()
    del values["grid_extent"]
    assert VitonHDConfig.from_json(values) == viton_hd()


_SHAPES = """
import torch
from atelier.errors import ConfigError
from atelier.models.viton_hd import VitonHD, viton_hd_closet
model = VitonHD(viton_hd_closet()).eval()
good = {
    "agnostic_person": (1, 3, 256, 192), "pose_image": (1, 3, 256, 192), "garment": (1, 3, 256, 192),
    "garment_mask": (1, 1, 256, 192), "agnostic_parse": (1, 13, 256, 192), "segmentation_noise": (1, 1, 128, 96),
}
for name, shape in (
    ("pose_image", (1, 3, 128, 128)), ("agnostic_parse", (1, 1, 256, 192)), ("segmentation_noise", (1, 1, 256, 128)),
    ("agnostic_person", (2, 3, 256, 192)), ("garment_mask", (256, 192)), ("garment", (3, 256, 192)),
):
    tensors = {other: torch.zeros(size) for other, size in {**good, name: shape}.items()}
    try:
        model(**tensors, generator=torch.Generator())
    except ConfigError as error:
        print(error)
noise = torch.zeros(1, 1, 128, 96, dtype=torch.uint8)
sizes = (1, 256, 192, 3), (1, 256, 256, 3), (1, 256, 192)
picture, wide, ids = (torch.zeros(size, dtype=torch.uint8) for size in sizes)
for call in (
    lambda: model.layout(picture, picture, ids, ids[None], noise),
    lambda: model.warp(picture, wide, picture, ids),
    lambda: model.synthesize(
        picture, picture, picture, ids, ids, torch.zeros(1, 2, 25), generator=torch.Generator()
    ),
):
    try:
        call()
    except ConfigError as error:
        print(error)
"""


def test_inputs_of_other_shapes_are_named() -> None:
    """In a process of its own: the suite's hook would refuse them before the model can."""
    ran = subprocess.run([sys.executable, "-c", _SHAPES], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.splitlines() == [
        "pose_image: has shape [1, 3, 128, 128], must be [1, 3, 256, 192] (batch, 3, height, width), as garment",
        "agnostic_parse: has shape [1, 1, 256, 192], must be [1, 13, 256, 192] (batch, 13, height, width), as garment",
        "segmentation_noise: has shape [1, 1, 256, 128], must be [1, 1, 128, 96] (batch, 1, 128, 96), as garment",
        "agnostic_person: has shape [2, 3, 256, 192], must be [1, 3, 256, 192] (batch, 3, height, width), as garment",
        "garment_mask: has shape [256, 192], must be [1, 1, 256, 192] (batch, 1, height, width), as garment",
        "garment: has shape [3, 256, 192], must be [batch, 3, height, width] (batch, 3, height, width)",
        "agnostic_parse: has shape [1, 1, 256, 192], must be [1, 256, 192] (batch, height, width), as garment",
        "pose_image: has shape [1, 256, 256, 3], must be [1, 256, 192, 3] (batch, height, width, 3), as garment",
        "theta: has shape [1, 2, 25], must be [1, 50] (batch, 50), as garment",
    ]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((256, 192), "multiples of 128; the nearest are 256x128 or 256x256"),
        ((1000, 768), "multiples of 128; the nearest are 896x768 or 1024x768"),
        ((128, 128), "double at least one side"),
    ],
)
def test_illegal_size_says_what_is_allowed(size: tuple[int, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        viton_hd().check_size(size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blur_kernel": 4}, "must be odd"),
        ({"matching_widths": (8, 8, 8)}, "must be 4"),
        ({"num_misaligned_blocks": 9}, r"must be 0\.\.6"),
        ({"segmentation_size": (100, 96)}, "segmentation_size: is 100x96"),
    ],
)
def test_config_that_contradicts_itself(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(viton_hd_closet(), **change)


def test_forward_refuses_a_size_that_it_would_change(model: VitonHD, columns: dict[str, Tensor]) -> None:
    cropped = {name: column[:, :250] if name != "segmentation_noise" else column for name, column in columns.items()}
    with pytest.raises(ConfigError, match="250x192, both sides must be multiples of 32"):
        _layout(model, cropped)
