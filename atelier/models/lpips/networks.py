"""LPIPS version 0.1: two backbones, and the head that weighs their channels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.layers.vgg import VGG
from atelier.models.tensors import Picture

Net = Literal["alex", "vgg"]
MODEL, VERSION = "lpips", "0.1"
BACKBONE, HEADS = "backbone", "heads"
"""The weight files' names, without their suffix."""

CHANNELS: dict[Net, tuple[int, ...]] = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
"""Of the five feature maps, finest first."""
_EPSILON = 1e-10


class AlexNetFeatures(nn.Module):
    """relu1 ... relu5 of an AlexNet (Krizhevsky 2014, the one-column variant), under the ImageNet keys."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        # ImageNet's statistics, for pictures in [-1, 1].
        self.register_buffer("mean", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Picture) -> list[Tensor]:
        """Five feature maps, finest first; sides of at least 31 pixels."""
        x = (picture - self.mean) / self.deviation
        outputs = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                outputs.append(x)
        return outputs


class LPIPS(nn.Module):
    """Learned perceptual image patch similarity: 0 for equal pictures, about 0.7 for unlike ones; less is nearer."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net: Net = net
        self.backbone = AlexNetFeatures() if net == "alex" else VGG(16, (2, 2, 3, 3, 3))
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels in CHANNELS[net])

    def forward(self, picture: Picture, other: Picture) -> Float[Tensor, " batch"]:
        """The distance of each pair (§3.1): unit features' squared differences, weighed by channel, averaged."""
        terms = []
        for one, two, head in zip(self.backbone(picture), self.backbone(other), self.heads, strict=True):
            terms.append(head((_unit(one) - _unit(two)).square()).mean((1, 2, 3)))
        return torch.stack(terms).sum(0)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The network in a weight folder that `convert` wrote, frozen.

        Raises:
            WeightsError: not a folder of LPIPS 0.1, or keys that do not fit.
        """
        config = weights.read_config(folder)
        known = {"model": (MODEL,), "version": (VERSION,), "net": get_args(Net)}
        for field, allowed in known.items():
            if config.get(field) not in allowed:
                reason = f"its {field} is {config.get(field)!r}, must be {' or '.join(map(repr, allowed))}"
                raise WeightsError(str(folder), reason=reason)
        network = cls(config["net"])
        weights.load_into(network.backbone, weights.read_state(folder, BACKBONE), folder)
        weights.load_into(network.heads, weights.read_state(folder, HEADS), folder)
        return network.eval().requires_grad_(False)


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(1, keepdim=True).sqrt() + _EPSILON)
