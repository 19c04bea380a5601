"""A parser as it is used: picture bytes in, CIHP label ids out, whichever network is inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from atelier.errors import WeightsError
from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.parsing.labels import CIHP, TORSO, Sides, cihp_ids
from atelier.models.parsing.networks import ParsingNet
from atelier.models.parsing.segformer import MODEL_TYPE, Segformer, class_names
from atelier.models.tensors import LabelIds, Picture, PictureBytes
from atelier.weights import read_config


class HumanParser(nn.Module):
    """The part of the person at every pixel, CIHP ids at the picture's own size.

    Args:
        network: gives class logits of a picture, at any resolution.
        classes: what each class is in CIHP. One that doesn't tell left from right is divided at the person's middle
            line, with the person facing the camera: crossed arms come out wrong.
        config: of a network whose pictures are scaled to its input size; None where it takes them as they are.
    """

    left: Tensor
    right: Tensor
    torso: Tensor

    def __init__(self, network: nn.Module, classes: Sequence[Sides], config: ParsingNetConfig | None = None) -> None:
        super().__init__()
        self.network, self.config = network, config
        self.sideless = any(sides.left != sides.right for sides in classes)
        self.register_buffer("left", torch.tensor([s.left for s in classes], dtype=torch.uint8), persistent=False)
        self.register_buffer("right", torch.tensor([s.right for s in classes], dtype=torch.uint8), persistent=False)
        self.register_buffer("torso", torch.tensor([s.left in TORSO for s in classes]), persistent=False)

    @torch.inference_mode()
    def forward(self, person: PictureBytes) -> LabelIds:
        """CIHP ids 0..19: logits upsampled bilinearly, then their argmax."""
        picture = picture_from_bytes(person)
        logits = self.network(self._scaled(picture))
        size = person.shape[1:3]
        # Row by row: 20 channels at 1024x768 are 63 MB a picture.
        rows = [F.interpolate(row, size=size, mode="bilinear").argmax(1) for row in logits.float().split(1)]
        return torch.cat([self._named(row) for row in rows])

    def _scaled(self, picture: Picture) -> Float[Tensor, "batch 3 scaled_height scaled_width"]:
        size = None if self.config is None else self.config.scaled_size((picture.shape[2], picture.shape[3]))
        if size is None or size == tuple(picture.shape[2:]):
            return picture
        return F.interpolate(picture, size=size, mode="bilinear", antialias=True)

    def _named(self, classes: Tensor) -> UInt8[Tensor, "1 height width"]:
        if not self.sideless:
            return self.left[classes]
        columns = torch.arange(classes.shape[2], device=classes.device)
        return torch.where(columns > self._middle(self.torso[classes]), self.left[classes], self.right[classes])

    @staticmethod
    def _middle(torso: Bool[Tensor, "1 height width"]) -> Float[Tensor, ""]:
        columns = torch.arange(torso.shape[2], device=torso.device, dtype=torch.float32)
        pixels = torso.sum((0, 1))
        middle = (columns * pixels).sum() / pixels.sum().clamp_min(1)
        return torch.where(pixels.any(), middle, columns.mean())

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The parser in a weight folder, ours or a SegFormer that transformers saved; `config.json` says which.

        Raises:
            WeightsError: another model, label names that are in no known set, or weights that do not fit.
        """
        if (classes := _segformer_classes(folder)) is not None:
            return cls(Segformer.from_pretrained(folder), classes).eval()
        network = ParsingNet.from_pretrained(folder)
        return cls(network, [Sides(index, index) for index in range(len(CIHP))], network.config).eval()


def check_parser(folder: str | Path) -> None:
    """Refuses weights that are no parser's, by their config alone.

    Raises:
        WeightsError, ConfigError: as `HumanParser.from_pretrained`.
    """
    if _segformer_classes(folder) is None:
        ParsingNetConfig.from_folder(folder)


def _segformer_classes(folder: str | Path) -> list[Sides] | None:
    """What a SegFormer's classes are; None for a parser of ours."""
    values = read_config(folder)
    if values.get("model_type") == MODEL_TYPE:
        return cihp_ids(class_names(values, str(folder)), str(folder))
    if values.get("model") != ParsingNetConfig.model:
        found = values.get("model") or values.get("model_type")
        raise WeightsError(
            str(folder),
            reason=f"config.json: model is {found!r}; a parser's is {ParsingNetConfig.model!r}, or model_type"
            f" {MODEL_TYPE!r} of transformers",
        )
    return None
