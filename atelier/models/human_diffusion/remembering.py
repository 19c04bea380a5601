"""What a stylized memory keeps of pictures: their described regions' crops as keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from atelier.models.human_diffusion.crops import region_crops
from atelier.models.human_diffusion.encoders import Encoders, Keys, Values
from atelier.models.human_diffusion.phrases import Description
from atelier.models.human_diffusion.regions import REGIONS
from atelier.models.tensors import LabelIds, Picture


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """Crops of several pictures, one entry each, in the order of rows and then of label ids."""

    rows: tuple[int, ...]
    """Which picture of the batch each is from."""
    regions: tuple[int, ...]
    """Label ids."""
    phrases: tuple[str, ...]
    text_keys: Keys
    image_keys: Keys
    values: Values


@torch.no_grad()
def remember(
    encoders: Encoders, picture: Picture, pose_map: LabelIds, descriptions: Sequence[Description], *, crop_size: int
) -> Remembered:
    """Keys and values of every region that is in the picture and in the words.

    A region without words is left out: its words are how it would be asked for.
    """
    crops = region_crops(picture, pose_map, crop_size)
    said = [
        descriptions[row].phrases.get(REGIONS[region], "")
        for row, region in zip(crops.rows, crops.regions, strict=True)
    ]
    kept = [index for index, phrase in enumerate(said) if phrase]
    phrases = tuple(said[index] for index in kept)
    device = next(encoders.parameters()).device
    image_keys, values = encoders.see(crops.pictures[kept].to(device), crops.masks[kept].to(device))
    return Remembered(
        rows=tuple(crops.rows[index] for index in kept),
        regions=tuple(crops.regions[index] for index in kept),
        phrases=phrases,
        text_keys=encoders.read(encoders.tokenize(phrases).to(device)),
        image_keys=image_keys,
        values=values,
    )
