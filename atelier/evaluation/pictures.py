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


@dataclass(frozen=True)
class Comparison:
    """Two pictures compared at every pixel; scores of any region are then a mean away.

    `similarity` (SSIM), `squared_error` (mean of the channels, of 0..255) and `colour_difference` (CIEDE2000) are
    float [H, W].
    """

    similarity: np.ndarray
    squared_error: np.ndarray
    colour_difference: np.ndarray

    def scores(self, mask: np.ndarray | None = None) -> PictureScores:
        """The scores inside a bool mask [H, W], or of the whole picture.

        Raises:
            ValueError: a mask without a pixel.
        """
        inside = np.s_[:] if mask is None else mask
        return PictureScores(
            ssim=float(_of(self.similarity, inside).mean()),
            psnr=self.psnr(mask),
            ciede2000=float(_of(self.colour_difference, inside).mean()),
        )

    def psnr(self, mask: np.ndarray | None = None) -> float:
        """Peak signal-to-noise ratio in dB inside a bool mask, at most `PSNR_CAP`."""
        return decibels(float(_of(self.squared_error, np.s_[:] if mask is None else mask).mean()))


def compare(picture: np.ndarray, truth: np.ndarray) -> Comparison:
    """A picture against the true one, both uint8 RGB [H, W, 3], at least 11 pixels a side.

    Raises:
        ValueError: shapes that differ.
    """
    _check(picture, truth)
    return Comparison(
        similarity=ssim_map(picture, truth),
        squared_error=np.square(picture.astype(np.float64) - truth).mean(2),
        colour_difference=deltaE_ciede2000(rgb2lab(truth), rgb2lab(picture)),
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
    """Peak signal-to-noise ratio in dB over the pixels of a bool mask [H, W], at most `PSNR_CAP`.

    Raises:
        ValueError: shapes that differ, or a mask without a pixel.
    """
    _check(picture, truth)
    difference = _of(picture, mask).astype(np.float64) - _of(truth, mask)
    return decibels(float(np.square(difference).mean()))


def decibels(squared_error: float) -> float:
    """Peak signal-to-noise ratio of a mean squared error of 0..255, at most `PSNR_CAP`."""
    return PSNR_CAP if squared_error == 0 else min(PSNR_CAP, 10 * math.log10(255**2 / squared_error))


def _of(values: np.ndarray, inside: np.ndarray | slice) -> np.ndarray:
    chosen = values[inside]
    if not chosen.size:
        raise ValueError("mask has no pixel: there is nothing to compare")
    return chosen


def _check(picture: np.ndarray, truth: np.ndarray) -> None:
    if picture.shape != truth.shape:
        raise ValueError(f"picture has shape {picture.shape}, truth {truth.shape}; they must be the same")
