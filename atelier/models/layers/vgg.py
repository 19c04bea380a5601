"""VGG's convolutions (Simonyan & Zisserman 2015), tapped where they are asked for, under the ImageNet keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.tensors import Picture

Depth = Literal[16, 19]
_WIDTHS: dict[Depth, tuple[tuple[int, ...], ...]] = {
    16: ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    19: ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


class VGG(nn.Module):
    """One feature map per stage of a VGG, after the chosen ReLU; nothing is built beyond the last.

    Args:
        depth: 16 or 19.
        taps: per stage the ReLU to read, counted from 1: `(1, 1, 1, 1, 1)` is relu1_1 ... relu5_1.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, depth: Depth, taps: Sequence[int]) -> None:
        super().__init__()
        self.depth: Depth = depth
        self.taps: list[int] = []
        layers: list[nn.Module] = []
        in_channels = 3
        for stage, (widths, tap) in enumerate(zip(_WIDTHS[depth], taps, strict=True)):
            if stage:
                layers.append(nn.MaxPool2d(2))
            last = stage == len(taps) - 1
            for number, width in enumerate(widths[:tap] if last else widths, start=1):
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
                in_channels = width
                if number == tap:
                    self.taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        # ImageNet's statistics, for pictures in [0, 1].
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Picture) -> list[Tensor]:
        """One feature map per stage, finest first."""
        x = (picture * 0.5 + 0.5 - self.mean) / self.deviation
        outputs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                outputs.append(x)
        return outputs

    def load(self, path: str | Path) -> Self:
        """Takes the weights of a local `.safetensors` or `.pth` of an ImageNet VGG, and freezes them.

        Raises:
            WeightsError: no such file, or keys that do not fit, listed; layers beyond the last tap are not asked for.
        """
        state = weights.read_file(path)
        wanted = self.state_dict()
        beyond = {key for key in state if _is_beyond(key, len(self.features))}
        weights.load_into(self, {key: state[key] for key in state if key in wanted or key not in beyond}, path)
        return self.eval().requires_grad_(False)


def depth_of(state: dict[str, Tensor], source: str | Path) -> Depth:
    """Which VGG a state dict is of: the second convolution of stage 4 or later lies elsewhere.

    Raises:
        WeightsError: of neither.
    """
    # features.17 opens stage 4 of VGG-16; in VGG-19 it is a ReLU, and features.19 opens it.
    opening: dict[Depth, str] = {16: "features.17.weight", 19: "features.19.weight"}
    for depth, key in opening.items():
        if key in state and state[key].shape[:2] == (512, 256):
            return depth
    raise WeightsError(str(source), reason="holds no VGG-16 or VGG-19 in torchvision's layout (features.N.weight)")


def _is_beyond(key: str, num_layers: int) -> bool:
    part = key.split(".")
    if part[0] == "classifier":
        return True
    return part[0] == "features" and len(part) > 1 and part[1].isdigit() and int(part[1]) >= num_layers
