"""The presets' rules, on pictures whose scores are known otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from atelier.errors import ConfigError
from atelier.evaluation.sets.presets import PROTOCOLS, named
from atelier.evaluation.sets.protocol import SsimRule
from atelier.evaluation.sets.resizing import Resize
from atelier.evaluation.sets.similarity import psnr, ssim


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    truth = random.integers(20, 200, (40, 32, 3), dtype=np.uint8)
    return (truth + random.integers(0, 30, truth.shape)).astype(np.uint8), truth


def test_viton_hd_ssim_is_that_of_pillows_luma(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    made, truth = pictures
    grey_made, grey_truth = (np.asarray(Image.fromarray(side).convert("L")) for side in pictures)
    want = structural_similarity(
        grey_truth, grey_made, data_range=255, gaussian_weights=True, use_sample_covariance=False
    )
    assert ssim(made, truth, PROTOCOLS["viton_hd_1024"].ssim) == pytest.approx(want, abs=1e-12)


def test_pidm_ssim_has_its_own_window_and_the_made_pictures_range(pictures: tuple[np.ndarray, np.ndarray]) -> None:
    made, truth = pictures
    rule = PROTOCOLS["pidm_256"].ssim
    want = structural_similarity(
        truth.astype(float),
        made.astype(float),
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.2,
        use_sample_covariance=False,
        data_range=float(made.max()) - float(made.min()),
    )
    assert rule.window == 9
    assert ssim(made, truth, rule) == pytest.approx(want, abs=1e-12)
    assert abs(ssim(made, truth, rule) - ssim(made, truth, SsimRule())) > 1e-4


def test_flat_pictures_have_scores_by_every_rule() -> None:
    flat = np.full((16, 16, 3), 200, np.uint8)
    for protocol in PROTOCOLS.values():
        assert ssim(flat, flat, protocol.ssim) == pytest.approx(1.0)
    assert psnr(flat, flat) == 100.0
    assert psnr(flat - 10, flat) == pytest.approx(20 * np.log10(255 / 10))


def test_plain_bilinear_reads_four_pixels_where_pillow_reads_all() -> None:
    """A checkerboard halved: OpenCV's rule averages each 2x2 block, and so does Pillow; quartered, only Pillow does."""
    board = np.zeros((16, 16, 3), np.uint8)
    board[::2, ::2], board[1::2, 1::2] = 255, 255
    spike = np.zeros((16, 16, 3), np.uint8)
    spike[::4, ::4] = 255  # never among the four nearest of any pixel at a quarter of the size
    plain, pillow = (Resize(size=(4, 4), rule=rule) for rule in ("plain_bilinear", "pillow_bilinear"))
    assert torch.all(Resize(size=(8, 8), rule="plain_bilinear").levels(board[None]) == 127.5)
    assert torch.all(plain.levels(spike[None]) == 0)
    assert pillow.bytes(spike).min() > 5
    assert np.array_equal(plain.bytes(spike), np.zeros((4, 4, 3), np.uint8))
    want = np.asarray(Image.fromarray(spike).resize((4, 4), Image.Resampling.BILINEAR))
    assert np.array_equal(pillow.bytes(spike), want)


def test_every_preset_names_its_sources() -> None:
    published = ["viton_hd_1024", "viton_hd_512", "viton_hd_256", "pidm_256", "pidm_512"]
    assert list(PROTOCOLS) == ["plain", "catalog", *published]
    for name, protocol in PROTOCOLS.items():
        assert named(name) is protocol
        assert name not in published or (protocol.sources and protocol.differences and protocol.num_pairs)
    with pytest.raises(ConfigError, match=r"must be one of plain, catalog, viton_hd_1024"):
        named("viton")
