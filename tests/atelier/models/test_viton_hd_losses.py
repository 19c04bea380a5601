"""Losses are what their formulas say, and every network learns one batch by them."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from atelier.errors import WeightsError
from atelier.models.layers.vgg import VGG
from atelier.models.viton_hd import VitonHD, losses, viton_hd_closet
from atelier.models.viton_hd.networks_discriminators import DiscriminatorConfig, MultiscaleDiscriminator
from atelier.models.viton_hd.networks_perceptual import perceptual_features
from atelier.weights import write_folder

TINY = dataclasses.replace(
    viton_hd_closet(),
    working_size=(64, 32),
    segmentation_size=(32, 32),
    segmentation_widths=(8, 8, 8),
    matching_size=(64, 64),
    matching_widths=(8, 8, 8, 8),
    regression_widths=(8, 8, 8, 8),
    alias_widths=(8, 8, 8, 8, 8, 8),
    alias_hidden=8,
)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_gan_losses_at_known_scores() -> None:
    real, fake = [[torch.full((1, 1, 2, 2), 0.5)]], [[torch.full((1, 1, 2, 2), -0.25)]]
    assert losses.hinge_generator(fake).item() == pytest.approx(0.25)
    assert losses.hinge_critic(fake, real).item() == pytest.approx(0.5 + 0.75)
    assert losses.least_squares_generator(fake).item() == pytest.approx(1.25**2)
    assert losses.least_squares_critic(fake, real).item() == pytest.approx((0.25 + 0.0625) / 2)


def test_grid_constraint_is_zero_for_affine_warps_only() -> None:
    points = VitonHD(TINY).matching.tps.control_points(torch.zeros(1, 50))
    affine = points @ torch.tensor([[0.8, 0.3], [-0.2, 1.1]]) + 0.1
    assert losses.grid_constraint(affine).item() == pytest.approx(0.0, abs=1e-6)
    bent = points.clone()
    bent[:, 12] += 0.2
    assert losses.grid_constraint(bent).item() > 0.01


def test_terms_that_cannot_be_had_are_named() -> None:
    image, target = _random(1, 3, 32, 32), _random(1, 3, 32, 32, seed=1)
    objective = losses.alias_objective(image, target)
    assert set(objective.terms) == {"pixels"}
    assert set(objective.left_out) == {"adversarial", "feature_matching", "perceptual"}
    assert "VGG" in objective.left_out["perceptual"]
    assert objective.total.item() == pytest.approx((image - target).abs().mean().item())
    assert losses.segmentation_objective(_random(1, 13, 8, 8), torch.zeros(1, 8, 8).long()).left_out


def test_untrained_cross_entropy_is_that_of_a_guess() -> None:
    objective = losses.segmentation_objective(torch.zeros(1, 13, 8, 8), torch.zeros(1, 8, 8).long())
    assert objective.total.item() == pytest.approx(10 * math.log(13))


def test_critic_pyramid_and_feature_matching() -> None:
    critic = MultiscaleDiscriminator(DiscriminatorConfig(in_channels=10, width=8, num_layers=3))
    picture = _random(2, 10, 64, 64)
    outputs = critic(picture)
    assert [len(scale) for scale in outputs] == [4, 4]
    assert outputs[0][-1].shape[1] == 1 and outputs[0][-1].shape[-1] > outputs[1][-1].shape[-1]
    assert losses.feature_matching(outputs, [[layer.clone() for layer in scale] for scale in outputs]).item() == 0.0
    assert losses.feature_matching(outputs, critic(_random(2, 10, 64, 64, seed=1))).item() > 0.0


def test_vgg_from_a_checkpoint_with_all_its_layers(tmp_path: Path) -> None:
    state = VGG(19, (1, 1, 1, 1, 1)).state_dict()
    later = {
        "features.30.weight": torch.zeros(1),
        "features.34.bias": torch.zeros(1),
        "classifier.0.weight": torch.ones(1),
    }
    torch.save({**state, **later}, tmp_path / "vgg19.pth")
    features = perceptual_features(tmp_path / "vgg19.pth")
    assert features.depth == 19
    assert [feature.shape[1] for feature in features(_random(1, 3, 32, 32))] == [64, 128, 256, 512, 512]
    picture, target = _random(1, 3, 32, 32).requires_grad_(), _random(1, 3, 32, 32, seed=1)
    losses.alias_objective(picture, target, features=features).total.backward()
    assert picture.grad is not None and picture.grad.abs().sum() > 0
    sixteen = VGG(16, (2, 2, 3, 3, 3)).state_dict()  # as an LPIPS folder has it
    write_folder(tmp_path / "lpips_vgg", {"model": "lpips"}, {"backbone": sixteen})
    features = perceptual_features(tmp_path / "lpips_vgg")
    assert features.depth == 16 and not any(value.requires_grad for value in features.parameters())
    assert [feature.shape[1] for feature in features(_random(1, 3, 32, 32))] == [64, 128, 256, 512, 512]
    torch.save({**state, "strange": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"unexpected \(1\):\n    strange"):
        perceptual_features(tmp_path / "other.pth")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="no VGG-16 or VGG-19"):
        perceptual_features(tmp_path / "small.pth")
    (tmp_path / "vgg16.ckpt").write_bytes(pickle.dumps({"VGG16_0": Path("x")}))
    with pytest.raises(
        WeightsError, match="or a weight folder, which `python -m atelier convert lpips --net vgg` makes"
    ):
        perceptual_features(tmp_path / "vgg16.ckpt")


def test_every_network_learns_one_batch() -> None:
    torch.manual_seed(0)
    model = VitonHD(TINY).train()
    person, pose, garment = (_random(2, 3, 64, 32, seed=seed) for seed in range(3))
    mask = (_random(2, 1, 64, 32, seed=3) > 0).float()
    layout = torch.nn.functional.one_hot(torch.randint(0, 7, (2, 64, 32)), 7).permute(0, 3, 1, 2).float()
    target_ids = torch.randint(0, 13, (2, 32, 32))
    inputs = _random(2, 21, 32, 32, seed=4)

    def segmentation() -> Tensor:
        return losses.segmentation_objective(model.segmentation.logits(inputs), target_ids).total

    def matching() -> Tensor:
        theta = model.match(person, pose, garment, layout)
        points = model.matching.tps.control_points(theta)
        grid = model.matching.grid(theta, (64, 32))
        warped = torch.nn.functional.grid_sample(garment, grid, align_corners=False)
        return losses.matching_objective(warped, garment, mask, mask, points).total

    def alias() -> Tensor:
        image = model.paint(person, pose, garment, mask, layout, torch.Generator().manual_seed(0))
        return losses.alias_objective(image, garment).total

    for network, loss in ((model.segmentation, segmentation), (model.matching, matching), (model.alias, alias)):
        optimizer = torch.optim.Adam(network.parameters(), 2e-3)
        values = []
        for _ in range(12):
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            values.append(value.item())
        assert min(values[-3:]) < 0.97 * values[0], type(network).__name__
