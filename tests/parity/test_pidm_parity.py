"""PIDM's networks, guidance and sampling give what the official modules gave on equal weights and inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from atelier.models.diffusion import grids
from atelier.models.diffusion.denoisers import Denoiser
from atelier.models.diffusion.guidance import Guidance, disentangled, released
from atelier.models.diffusion.samplers import ddim
from atelier.models.pidm import Pidm, pidm_256
from atelier.models.pidm.convert import split
from atelier.models.pidm.sampling import denoiser, schedule_of
from atelier.weights import load_into
from tests.parity.fill import fill

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True, kw_only=True)
class Published:
    """The published network on filled weights, its reference inputs and outputs."""

    model: Pidm
    features: list[Tensor]
    null_features: list[Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def eps(self, *, pose: bool, style: bool) -> Tensor:
        pose_map = self.inputs["pose"] if pose else torch.zeros_like(self.inputs["pose"])
        features = self.features if style else self.null_features
        return self.model.denoise(self.inputs["xt"], self.inputs["t"].reshape(1), pose_map, features)


@pytest.fixture(scope="module")
def published() -> Iterator[Published]:
    keys = json.loads((DATA / "pidm_keys.json").read_text())["last.pt"]["ema"]
    with torch.device("meta"):
        model = Pidm(pidm_256())
    model = model.to_empty(device="cpu").eval()
    for name, state in split(fill(keys)).items():
        load_into(model.get_submodule(name), state, "last.pt")
    reference = {**load_file(DATA / "pidm_64.safetensors"), **load_file(DATA / "pidm_64_guidance.safetensors")}
    inputs = _named("in.", reference)
    with torch.inference_mode():
        yield Published(
            model=model,
            features=model.encode(inputs["src"]),
            null_features=model.encode(torch.zeros_like(inputs["src"])),
            inputs=inputs,
            outputs=_named("out.", reference),
        )


def test_sizes_are_the_published_ones(published: Published) -> None:
    counts = json.loads((DATA / "pidm_keys.json").read_text())["n_params"]
    assert _num(published.model) == counts["total"] - counts["unused_in_forward"]


def test_encoder(published: Published) -> None:
    assert len(published.features) == 18
    _assert_close(torch.stack([features.mean() for features in published.features]), published.outputs["feat_means"])
    _assert_close(torch.stack([features.std() for features in published.features]), published.outputs["feat_stds"])


@pytest.mark.parametrize(
    ("name", "pose", "style"), [("uu", False, False), ("pu", True, False), ("us", False, True), ("ps", True, True)]
)
def test_noise_predictor(published: Published, name: str, pose: bool, style: bool) -> None:
    eps = published.eps(pose=pose, style=style)
    _assert_close(eps, published.outputs[name])
    if pose:
        _assert_close(eps, published.outputs["eps_cond" if style else "eps_null"])


@pytest.mark.parametrize(("name", "rule"), [("released", released(2.0)), ("dcf", disentangled(2.0, 2.0))])
def test_guidance_in_one_batch(published: Published, name: str, rule: Guidance) -> None:
    inputs = published.inputs
    denoise = _denoiser(published, rule)
    schedule = schedule_of(published.model)
    estimate = denoise(inputs["xt"], schedule.level(int(inputs["t"])))
    expected = published.outputs[name]
    _assert_close(estimate.eps, expected[:, :3])
    assert estimate.variance_share is not None
    _assert_close(estimate.variance_share * 2 - 1, expected[:, 3:])
    if name == "released":
        _assert_close(expected, published.outputs["eps_cfg"])


def test_released_ddim(published: Published) -> None:
    schedule = schedule_of(published.model)
    noise = published.inputs["xt"].double()  # as the released state is
    image = ddim(_denoiser(published, released(2.0)), noise, schedule, grids.leading(schedule, 4))
    _assert_close(image.float(), published.outputs["ddim"])


def _denoiser(published: Published, rule: Guidance) -> Denoiser:
    return denoiser(published.model, published.features, published.inputs["pose"], rule)


def _num(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _assert_close(actual: Tensor, expected: Tensor) -> None:
    expected = expected.reshape(actual.shape)
    assert ((actual - expected).abs().max() / expected.std()).item() <= 1e-3


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
