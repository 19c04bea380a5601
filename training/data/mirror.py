"""The mirrored sample: left and right exchange names, letters run backwards on person and garment alike."""

from __future__ import annotations

import numpy as np
import torch

from atelier.models.parsing.labels import mirrored_parse
from atelier.models.pose.joints import mirrored_keypoints
from training.data.dataset import Sample


def mirrored(sample: Sample) -> Sample:
    """The sample as a mirror shows it."""
    turned = {name: value[:, ::-1] for name, value in sample.items() if name in ("person", "garment", "garment_mask")}
    parse, keypoints = torch.from_numpy(sample["parse"][None]), torch.from_numpy(sample["keypoints"][None])
    return turned | {
        "parse": mirrored_parse(parse)[0].numpy(),
        "keypoints": mirrored_keypoints(keypoints, sample["parse"].shape[1])[0].numpy(),
    }


def maybe_mirrored(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample or, as often, its mirror image."""
    return mirrored(sample) if rng.random() < 0.5 else sample
