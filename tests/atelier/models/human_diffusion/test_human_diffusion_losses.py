"""What HumanDiffusion learns: the encoders match words and crops by region, the denoiser its target."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from atelier.closet import Look
from atelier.models.human_diffusion import HumanDiffusion, HumanDiffusionConfig, parse
from atelier.models.human_diffusion.crops import MIN_PIXELS, region_crops
from atelier.models.human_diffusion.encoders import SmallEncoders
from atelier.models.human_diffusion.losses import contrastive_loss, denoising_loss, reconstruction_loss
from atelier.models.human_diffusion.networks_crops import CropDecoder
from atelier.models.human_diffusion.regions import REGIONS


def test_crops_show_their_region_alone() -> None:
    picture = torch.full((1, 3, 32, 24), -1.0)
    picture[:, :, 8:16, 4:12] = torch.tensor([1.0, 0.5, -0.5]).view(1, 3, 1, 1)
    pose_map = torch.zeros(1, 32, 24, dtype=torch.uint8)
    pose_map[:, 8:16, 4:12] = 1
    pose_map[:, 20, : MIN_PIXELS - 1] = 5
    crops = region_crops(picture, pose_map, 8)
    assert crops.regions == (1,) and crops.rows == (0,)  # pants are too few pixels
    assert torch.allclose(crops.pictures, torch.tensor([1.0, 0.5, -0.5]).view(1, 3, 1, 1).expand(1, 3, 8, 8))
    assert bool((crops.masks == 1).all())
    pose_map[:, 8, 4] = 0
    assert float(region_crops(picture, pose_map, 8).masks[0, 0, 0, 0]) == pytest.approx(0.0)
    assert region_crops(picture, torch.zeros_like(pose_map), 8).pictures.shape == (0, 3, 8, 8)


def test_matched_keys_cost_less_than_mismatched_ones() -> None:
    keys = F.normalize(torch.eye(6), dim=1)
    phrases, regions = torch.arange(6), torch.tensor([1, 1, 1, 5, 5, 5])
    right = contrastive_loss(keys, keys, phrases, regions)
    wrong = contrastive_loss(keys, keys.roll(1, 0), phrases, regions)
    assert float(right) < 0.01 < float(wrong)
    # Only crops of the same region are candidates; alone in its region there is nothing to get wrong.
    assert float(contrastive_loss(keys, keys.roll(3, 0), phrases, torch.arange(6))) == pytest.approx(0.0, abs=1e-6)
    # Equal words are each other's right answer.
    assert float(contrastive_loss(keys[[0, 0]], keys[:2], torch.tensor([4, 4]), torch.tensor([1, 1]))) == pytest.approx(
        0.0, abs=1e-6
    )


def test_the_encoders_learn_to_find_crops_by_words(
    tiny_config: HumanDiffusionConfig, looks: list[Look], pictures: Tensor, pose_maps: Tensor
) -> None:
    torch.manual_seed(0)
    encoders, decoder = SmallEncoders(tiny_config), CropDecoder(tiny_config)
    crops = region_crops(pictures, pose_maps, tiny_config.crop_size)
    descriptions = [parse(look.caption) for look in looks]
    said = [
        descriptions[row].phrases.get(REGIONS[region], "")
        for row, region in zip(crops.rows, crops.regions, strict=True)
    ]
    ids, regions = encoders.tokenize(said), torch.tensor(crops.regions)
    phrases = torch.tensor([sorted(set(said)).index(phrase) for phrase in said])
    optimizer = torch.optim.Adam([*encoders.parameters(), *decoder.parameters()], lr=5e-3)
    losses = []
    for _ in range(20):
        keys, values = encoders.see(crops.pictures, crops.masks)
        found = contrastive_loss(encoders.read(ids), keys, phrases, regions)
        kept = reconstruction_loss(decoder(values), crops.pictures, crops.masks)
        optimizer.zero_grad()
        (found + kept).backward()
        optimizer.step()
        losses.append((float(found.detach()), float(kept.detach())))
    assert losses[-1][0] < 0.7 * losses[0][0] and losses[-1][1] < 0.7 * losses[0][1]


def test_positions_on_the_person_may_weigh_more() -> None:
    pose_map = torch.zeros(2, 8, 8, dtype=torch.uint8)
    pose_map[:, :4] = 1
    wanted = torch.zeros(2, 3, 8, 8)
    predicted = wanted.clone()
    predicted[0, :, :4], predicted[1, :, 4:] = 1.0, 1.0
    assert denoising_loss(predicted, wanted, pose_map).tolist() == pytest.approx([0.5, 0.5])
    weighed = denoising_loss(predicted, wanted, pose_map, person_weight=3.0)
    assert weighed.tolist() == pytest.approx([0.75, 0.25])
    # Latents are fewer than pixels.
    assert denoising_loss(predicted[:, :, ::2, ::2], wanted[:, :, ::2, ::2], pose_map).tolist() == pytest.approx(
        [0.5, 0.5]
    )


def test_the_denoiser_learns_a_picture(
    tiny_config: HumanDiffusionConfig, looks: list[Look], pictures: Tensor, pose_maps: Tensor
) -> None:
    torch.manual_seed(0)
    learner = HumanDiffusion(tiny_config)
    tokens = learner.encode([look.caption for look in looks[:2]])
    noise = torch.randn(2, 3, *pose_maps.shape[1:], generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([10, 30])
    x_t = learner.schedule().add_noise(pictures[:2], noise, timestep)
    optimizer = torch.optim.Adam(learner.unet.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = denoising_loss(learner.denoise(x_t, timestep, pose_maps[:2], tokens), noise, pose_maps[:2]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
