"""What the encoder sees of a source, and how target positions are held to their own region's tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from atelier.models.truepose import TruePose
from atelier.models.truepose.losses import alignment_loss, denoising_loss, moments_loss, reconstruction_loss
from atelier.models.truepose.networks_unet import attention_grids
from atelier.models.truepose.regions import region_masks, region_shares, select
from atelier.models.truepose.views import views
from tests.atelier.models.truepose.truepose_tiny import FACE, SIZE, TINY, UPPER, filled, parses

GRIDS = {128: (16, 8), 32: (8, 4)}


def test_a_crop_shows_its_region_and_nothing_else() -> None:
    parse = parses(2)
    parse[1][parse[1] == FACE] = 0
    source = torch.full((2, 3, *SIZE), -0.5)
    source.permute(0, 2, 3, 1)[parse == FACE] = torch.tensor([1.0, 0.0, 0.0])
    source.permute(0, 2, 3, 1)[parse == UPPER] = torch.tensor([0.0, 0.8, 0.0])
    seen, present = views(source, region_masks(parse), 16)
    assert seen.shape == (2, 3, 3, 16, 16) and present.tolist() == [[1, 1, 1], [1, 0, 1]]
    torch.testing.assert_close(seen[0, 1], torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 16, 16))
    torch.testing.assert_close(seen[:, 2], torch.tensor([0.0, 0.8, 0.0])[:, None, None].expand(2, 3, 16, 16))
    assert not seen[1, 1].any()
    whole, always = views(source, region_masks(parse), 16, crops=False)
    assert torch.equal(whole, seen[:, :1]) and always.tolist() == [[1], [1]]


def test_a_crop_is_its_box_as_it_lies() -> None:
    parse = torch.zeros(1, *SIZE, dtype=torch.uint8)
    parse[0, 8:24] = UPPER  # 16 rows, all 16 columns: nothing is stretched
    source = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    seen, _ = views(source, region_masks(parse), 16)
    torch.testing.assert_close(seen[0, 2], source[0, :, 8:24])


def test_a_region_of_too_many_tokens_gives_every_nth() -> None:
    inside = torch.zeros(2, 64, dtype=torch.bool)
    inside[0, 8:56] = True
    inside[1, 3] = True
    positions, counts = select(inside, 0.25)
    assert positions[0].tolist() == list(range(8, 56, 3)) and counts[0].all()
    assert positions[1, 0] == 3 and counts[1].tolist() == [True] + [False] * 15


def test_attention_is_told_by_view_in_training_and_is_the_same_then(
    model: TruePose, source: Tensor, parse: Tensor, pose: Tensor
) -> None:
    told: Any = model.tell(model.encode(source, parse), pose)
    x_t, timestep = torch.randn(3, 4, 16, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([1, 400, 900])
    shares: list[Tensor] = []
    watched = model.siamese(x_t, timestep, told, shares=shares)
    torch.testing.assert_close(watched, model.predict(x_t, timestep, told))
    assert sorted({layer.shape[1] for layer in shares}) == [32, 128]
    for layer in shares:
        torch.testing.assert_close(layer.sum(2), torch.ones(3, layer.shape[1]))


def test_the_alignment_loss_asks_each_region_for_its_own_view() -> None:
    masks, present = region_masks(parses(2)), torch.ones(2, 3)
    right = [region_shares(masks, grid) for grid in GRIDS.values()]
    even = [torch.full_like(layer, 1 / 3) for layer in right]
    wrong = [layer.roll(1, 2) for layer in right]
    losses = [float(alignment_loss(layers, masks, GRIDS, present)) for layers in (right, even, wrong)]
    assert losses[0] < 0.4 < losses[1] < losses[2]
    assert losses[1] == pytest.approx(torch.log(torch.tensor(3.0)).item(), rel=1e-4)


def test_nothing_is_asked_of_a_view_that_shows_nothing() -> None:
    masks = region_masks(parses(2))
    right = [region_shares(masks, grid) for grid in GRIDS.values()]
    faceless = [
        torch.cat([layer[..., :1] + layer[..., 1:2], 0 * layer[..., 1:2], layer[..., 2:]], 2) for layer in right
    ]
    present = torch.tensor([[1.0, 0.0, 1.0]] * 2)
    assert alignment_loss(faceless, masks, GRIDS, present) < 0.4
    assert alignment_loss(faceless, masks, GRIDS, torch.ones(2, 3)) > 1
    assert alignment_loss(faceless, masks, GRIDS, torch.zeros(2, 3)) == 0


def test_the_alignment_loss_moves_attention(source: Tensor, parse: Tensor, pose: Tensor) -> None:
    model = filled(TruePose(TINY)).train()
    x_t, timestep = torch.randn(3, 4, 16, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([1, 400, 900])
    masks, grids = region_masks(parse), attention_grids(TINY, (16, 8))
    latents = model.to_latents(source)
    optimizer = torch.optim.Adam(model.siamese.parameters(), 1e-2)
    losses = []
    for _ in range(5):
        shares: list[Tensor] = []
        told = model.tell(model.see(source, latents, parse), pose)
        model.siamese(x_t, timestep, told, shares=shares)
        loss = alignment_loss(shares, masks, grids, torch.ones(3, 3))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.98 * losses[0]


def test_without_alignment_the_whole_source_alone_is_told(source: Tensor, parse: Tensor, pose: Tensor) -> None:
    plain = filled(TruePose(dataclasses.replace(TINY, alignment=False)))
    whole = filled(TruePose(TINY))
    told, more = ([*model.encode(source, parse)["tokens"]["keys"]] for model in (plain, whole))
    assert [3 * layer.shape[1] for layer in told] == [layer.shape[1] for layer in more]


def test_the_denoising_loss_weighs_the_person_and_the_face() -> None:
    parse = parses(1)
    wanted, on_face, beside = (torch.zeros(1, 4, 16, 8) for _ in range(3))
    on_face[:, :, 2, 3] = 1
    beside[:, :, 15, 0] = 1
    plain, weighed = (
        [
            float(denoising_loss(error, wanted, parse, person_weight=person, face_weight=face))
            for error in (on_face, beside)
        ]
        for person, face in ((1.0, 1.0), (2.0, 4.0))
    )
    assert plain[0] == pytest.approx(plain[1]) == pytest.approx(1 / 128)
    assert weighed[0] == pytest.approx(4 * weighed[1])


def test_the_autoencoders_losses_are_nothing_where_all_is_well() -> None:
    picture = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert reconstruction_loss(picture, picture) == 0
    assert reconstruction_loss(picture + 0.1, picture) == pytest.approx(0.2, rel=1e-3)  # pixels and their means
    tinted = picture + torch.tensor([0.1, -0.1, 0.1])[:, None, None]  # as bright, another colour
    assert reconstruction_loss(tinted, picture) == pytest.approx(0.2 + 2 * 0.2, rel=1e-3)
    latents = torch.randn(4, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    assert moments_loss(latents) < 1e-3 < moments_loss(3 * latents) and moments_loss(latents + 2) > 3
