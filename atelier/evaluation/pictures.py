"""How near one picture is to another, over the whole of it or inside a mask: SSIM, PSNR, CIEDE2000.

All three are scikit-image's. Inside a mask each is a mean over the mask's pixels; SSIM's windows still reach beyond it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

SSIM_PROTOCOL = "gaussian window of sigma 1.5, 11x11, RGB channels averaged, population covariance, data range 255"
PSNR_CAP = 100.0
"""dB: what equal pictures get, so that a mean over pictures stays finite."""


@dataclass(frozen=True, kw_only=True)
class PictureScores:
    """`ssim` in [-1, 1], `psnr` in dB, `ciede2000` as the mean over pixels (1 is just visible side by side)."""

    ssim: float
    psnr: float
    ciede2000: float


def picture_scores(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> PictureScores:
    """All three scores of a picture.

    Args:
        picture, truth: uint8 RGB [H, W, 3], at least 11 pixels a side.
        mask: bool [H, W], where to look; None for everywhere.

    Raises:
        ValueError: shapes that differ, or a mask without a pixel.
    """
    _check(picture, truth, mask)
    inside = np.ones(truth.shape[:2], dtype=bool) if mask is None else mask
    differences = deltaE_ciede2000(rgb2lab(truth), rgb2lab(picture))
    return PictureScores(
        ssim=float(ssim_map(picture, truth)[inside].mean()),
        psnr=psnr(picture, truth, inside),
        ciede2000=float(differences[inside].mean()),
    )


def ssim_map(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity (Wang et al. 2004) at every pixel, float [H, W], by `SSIM_PROTOCOL`."""
    similarity = structural_similarity(
        truth,
        picture,
        channel_axis=2,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1]
    return np.asarray(similarity).mean(2)


def psnr(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over the pixels of a bool mask [H, W], at most `PSNR_CAP`."""
    error = float(np.square(picture[mask].astype(np.float64) - truth[mask].astype(np.float64)).mean())
    return PSNR_CAP if error == 0 else min(PSNR_CAP, 10 * math.log10(255**2 / error))


def _check(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None) -> None:
    if picture.shape != truth.shape:
        raise ValueError(f"picture has shape {picture.shape}, truth {truth.shape}; they must be the same")
    if mask is not None and not mask.any():
        raise ValueError("mask has no pixel: there is nothing to compare")
