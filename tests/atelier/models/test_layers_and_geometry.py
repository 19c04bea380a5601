"""Spectral norm, noise, pixels, thin plate splines and blur, each against what it must equal."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from atelier.errors import ConfigError
from atelier.models.geometry.blur import gaussian_blur
from atelier.models.geometry.tps import ThinPlateSpline, warp
from atelier.models.layers.attention import attend
from atelier.models.layers.noise import draw_normal
from atelier.models.layers.pixels import bytes_from_picture, one_hot, picture_from_bytes
from atelier.models.layers.spectral import SpectralConv2d, fold_spectral_norm


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_spectral_conv_is_torchs_old_one() -> None:
    ours = SpectralConv2d(3, 5, 3, padding=1)
    theirs = nn.utils.spectral_norm(nn.Conv2d(3, 5, 3, padding=1))
    theirs.load_state_dict(ours.state_dict())  # equal key names
    x = torch.randn(2, 3, 8, 8, generator=_seeded(0))
    for training in (False, True):  # training moves the vectors, alike
        ours.train(training), theirs.train(training)
        torch.testing.assert_close(ours(x), theirs(x))
        torch.testing.assert_close(ours.state_dict(), dict(theirs.state_dict()))
    ours(x).sum().backward(), theirs(x).sum().backward()
    torch.testing.assert_close(ours.weight_orig.grad, theirs.get_parameter("weight_orig").grad)


def test_folded_spectral_norm_gives_the_same() -> None:
    network = nn.Sequential(SpectralConv2d(3, 4, 3), nn.Sequential(SpectralConv2d(4, 2, 1, bias=False))).eval()
    x = torch.randn(1, 3, 6, 6, generator=_seeded(0))
    before = network(x)
    fold_spectral_norm(network)
    assert not [module for module in network.modules() if isinstance(module, SpectralConv2d)]
    torch.testing.assert_close(network(x), before)


def test_row_draws_do_not_depend_on_batch_mates() -> None:
    together = draw_normal(3, (4, 5, 1), [_seeded(1), _seeded(2), _seeded(3)])
    assert torch.equal(draw_normal(1, (4, 5, 1), [_seeded(2)])[0], together[1])
    assert torch.equal(draw_normal(2, (4,), _seeded(1)), torch.randn(2, 4, generator=_seeded(1)))
    with pytest.raises(ConfigError, match="2 given for a batch of 3"):
        draw_normal(3, (4,), [_seeded(1), _seeded(2)])


def test_pixels_survive_the_round_trip() -> None:
    picture = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    assert torch.equal(bytes_from_picture(picture_from_bytes(picture)), picture)
    ids = torch.tensor([[[0, 2], [1, 0]]], dtype=torch.uint8)
    assert one_hot(ids, 3)[0, :, 0, 1].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("points_per_side", "extent"), [(5, 0.9), (5, 1.0), (4, 0.9)])
def test_zero_offsets_zoom_by_the_extent(points_per_side: int, extent: float) -> None:
    spline = ThinPlateSpline(points_per_side, extent)
    grid = spline(torch.zeros(2, 2 * points_per_side**2), (32, 24))
    x, y = torch.linspace(-extent, extent, 24), torch.linspace(-extent, extent, 32)
    expected = torch.stack([x.expand(32, 24), y[:, None].expand(32, 24)], -1)
    torch.testing.assert_close(grid, expected.expand(2, 32, 24, 2), atol=1e-5, rtol=0)


def test_stored_coefficients_invert_the_published_system() -> None:
    stored, solved = ThinPlateSpline(5, 0.9), ThinPlateSpline(5, 0.9 + 1e-12)
    torch.testing.assert_close(stored.kernel_weights, solved.kernel_weights, atol=2e-5, rtol=0)


def test_control_points_are_met_exactly() -> None:
    spline = ThinPlateSpline(5, 0.9)
    theta = 0.2 * torch.randn(1, 50, generator=_seeded(0))
    grid = spline(theta, (5, 5))  # its positions are the base points, row by row
    by_column = grid[0].transpose(0, 1).flatten(0, 1)
    torch.testing.assert_close(by_column, spline.control_points(theta)[0], atol=1e-5, rtol=0)


def test_warp_by_identity_and_beyond_the_border() -> None:
    picture = torch.rand(1, 3, 8, 6, generator=_seeded(0))
    centers_x, centers_y = (torch.arange(6) + 0.5) / 3 - 1, (torch.arange(8) + 0.5) / 4 - 1
    grid = torch.stack([centers_x.expand(8, 6), centers_y[:, None].expand(8, 6)], -1)[None]
    torch.testing.assert_close(warp(picture, grid), picture)
    assert torch.equal(warp(picture, torch.full((1, 1, 1, 2), -5.0))[..., 0, 0], picture[..., 0, 0])


def test_blur_sums_to_one_inside_and_falls_off_at_the_border() -> None:
    x = torch.zeros(1, 2, 31, 31)
    x[0, 0, 15, 15], x[0, 1] = 1.0, 1.0
    blurred = gaussian_blur(x, 15, 3.0)
    assert blurred[0, 0].sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (blurred[0, 0, 15, 15] / blurred[0, 0, 15, 18]).item() == pytest.approx(torch.e**0.5, rel=1e-4)
    assert blurred[0, 1, 15, 15].item() == pytest.approx(1.0, abs=1e-5)
    assert blurred[0, 1, 0, 15].item() < 0.6


def test_attention_learns_in_bfloat16_what_it_learns_in_float32() -> None:
    """On a CPU it goes another way there: the same values and gradients, within rounding."""
    parts = [torch.randn(2, n, 16, generator=_seeded(n)) for n in (12, 9, 10)]
    queries, keys, values = parts[0], parts[1], parts[2][:, :9]
    bias = torch.randn(2, 1, 12, 9, generator=_seeded(3))
    bias[:, :, 5:, 4] = float("-inf")
    wanted, gradients = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        given = [part.to(dtype).requires_grad_() for part in (queries, keys, values)]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            wanted[dtype] = attend(*given, num_heads=2, bias=bias)
        assert wanted[dtype].dtype == dtype
        gradients[dtype] = torch.autograd.grad(wanted[dtype].float().square().sum(), given)
    torch.testing.assert_close(wanted[torch.bfloat16].float(), wanted[torch.float32], atol=0.03, rtol=0.03)
    for rough, exact in zip(gradients[torch.bfloat16], gradients[torch.float32], strict=True):
        assert float((rough.float() - exact).norm() / exact.norm()) < 0.03
