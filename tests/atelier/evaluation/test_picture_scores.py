"""The figures of a judgement, on pictures whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.evaluation.pictures import PSNR_CAP, compare, psnr, ssim_map


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)


def test_identical_pictures_score_the_best_there_is(picture: np.ndarray) -> None:
    scores = compare(picture, picture).scores()
    assert scores.ssim == pytest.approx(1.0)
    assert scores.psnr == PSNR_CAP
    assert scores.ciede2000 == 0.0


def test_psnr_of_a_constant_offset_is_its_formula() -> None:
    truth = np.full((16, 16, 3), 100, np.uint8)
    assert compare(truth + 10, truth).psnr() == pytest.approx(20 * np.log10(255 / 10))
    assert psnr(truth + 10, truth, np.ones((16, 16), dtype=bool)) == pytest.approx(20 * np.log10(255 / 10))


def test_ciede2000_agrees_with_known_colours() -> None:
    """White to black is 100 by construction; sRGB red to green is 86.6 (Sharma et al.'s formula on D65 Lab)."""
    black, white = np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)
    assert compare(black, white).scores().ciede2000 == pytest.approx(100, abs=0.01)
    red, green = black.copy(), black.copy()
    red[..., 0], green[..., 1] = 255, 255
    assert compare(red, green).scores().ciede2000 == pytest.approx(86.61, abs=0.05)


def test_mask_keeps_out_what_lies_beyond_it(picture: np.ndarray) -> None:
    spoilt = picture.copy()
    spoilt[:, 12:] = 0
    mask = np.zeros(picture.shape[:2], dtype=bool)
    mask[:, :6] = True  # further from the spoilt half than a window reaches
    scores = compare(spoilt, picture).scores(mask)
    assert scores.ssim == pytest.approx(1.0) and scores.psnr == PSNR_CAP and scores.ciede2000 == 0.0
    assert compare(spoilt, picture).scores(~mask).ssim < 0.7


def test_ssim_falls_with_blur_more_than_with_an_offset(picture: np.ndarray) -> None:
    blurred = np.repeat(np.repeat(picture[::2, ::2], 2, 0), 2, 1)
    brighter = np.clip(picture.astype(int) + 6, 0, 255).astype(np.uint8)
    assert ssim_map(blurred, picture).mean() < ssim_map(brighter, picture).mean()


def test_what_cannot_be_compared_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be the same"):
        compare(picture, picture[:, :-1])
    with pytest.raises(ValueError, match="no pixel"):
        compare(picture, picture).scores(np.zeros(picture.shape[:2], dtype=bool))
