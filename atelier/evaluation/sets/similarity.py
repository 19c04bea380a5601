"""One made picture against its true one, by a protocol's rule."""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from atelier.evaluation.pictures import decibels
from atelier.evaluation.sets.protocol import SsimRule


def ssim(made: np.ndarray, truth: np.ndarray, rule: SsimRule) -> float:
    """Mean structural similarity, -1..1, of two pictures uint8 [H, W, 3] with sides of at least `rule.window`."""
    if rule.colour == "luma":
        made, truth = _luma(made), _luma(truth)
    # A flat picture has no range, and dividing by it would give no number at all.
    data_range = 255.0 if rule.data_range == "255" else max(float(made.max()) - float(made.min()), 1.0)
    similarity = structural_similarity(
        truth.astype(np.float64),
        made.astype(np.float64),
        channel_axis=2 if made.ndim == 3 else None,
        data_range=data_range,
        gaussian_weights=True,
        sigma=rule.sigma,
        use_sample_covariance=False,
    )
    return float(np.asarray(similarity))


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all pixels and channels, at most 100."""
    return decibels(float(np.square(made.astype(np.float64) - truth).mean()))


def _luma(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L"))
