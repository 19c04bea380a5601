"""The seven regions that the try-on is laid out in, and how they are read off the segmentation."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from atelier.models.geometry.blur import gaussian_blur
from atelier.models.layers.pixels import one_hot
from atelier.models.tensors import DividedLayout, LabelIds, Layout, Mask, SegmentationMap
from atelier.models.viton_hd.config import VitonHDConfig

NUM_AGNOSTIC_CLASSES = 13
NUM_LAYOUT_CLASSES = 7
UPPER = 2
"""The try-on garment's channel in the layout."""

LAYOUT_OF_AGNOSTIC = (0, 3, 1, 2, 1, 4, 5, 1, 1, 1, 1, 1, 6)
"""Layout id of each of the 13 segmentation classes: face, trousers, legs, shoes and socks are all `paste`."""


def layout_ids(segmentation: SegmentationMap, size: tuple[int, int], config: VitonHDConfig) -> LabelIds:
    """Layout ids 0..6 at the picture's size: upsampled, blurred, argmax, grouped (VITON-HD's test-time smoothing)."""
    resized = F.interpolate(segmentation.float(), size=size, mode="bilinear")
    classes = gaussian_blur(resized, config.blur_kernel, config.blur_sigma).argmax(1)
    groups = torch.tensor(LAYOUT_OF_AGNOSTIC, dtype=torch.uint8, device=classes.device)
    return groups[classes]


def layout_from_ids(ids: LabelIds) -> Layout:
    """One-hot layout."""
    return one_hot(ids, NUM_LAYOUT_CLASSES)


def misalignment(layout: Layout, warped_garment_mask: Mask) -> tuple[Mask, DividedLayout]:
    """Where the layout wants garment and the warped garment has none, and the layout divided by it.

    Returns:
        The misalignment mask (fractional along borders), and the layout whose upper channel lacks it and whose eighth
        channel is it.
    """
    mask = (layout[:, UPPER : UPPER + 1] - warped_garment_mask).clamp_min(0.0)
    divided = torch.cat([layout, mask], 1)
    divided[:, UPPER : UPPER + 1] -= mask
    return mask, divided
