"""VGG-19's early features, by which the perceptual loss compares pictures (Simonyan & Zisserman 2015)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from atelier import weights
from atelier.models.tensors import Picture

_WIDTHS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512,))


class VGG19Features(nn.Module):
    """relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 of a VGG-19, under the keys of the ImageNet checkpoint."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.taps: list[int] = []
        in_channels = 3
        for stage, widths in enumerate(_WIDTHS):
            if stage:
                layers.append(nn.MaxPool2d(2))
            self.taps.append(len(layers) + 1)
            for width in widths:
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
                in_channels = width
        self.features = nn.Sequential(*layers)
        # ImageNet's statistics, for pictures in [0, 1].
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Picture) -> list[Tensor]:
        """Five feature maps, finest first."""
        x = (picture * 0.5 + 0.5 - self.mean) / self.deviation
        outputs = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                outputs.append(x)
        return outputs

    @classmethod
    def from_file(cls, path: str | Path) -> VGG19Features:
        """The network with weights from a local `.safetensors` or `.pth` of an ImageNet VGG-19, frozen.

        Raises:
            WeightsError: keys that do not fit, listed; layers beyond relu5_1 are not asked for.
        """
        path = Path(path)
        state = load_file(path) if path.suffix == weights.SUFFIX else weights.read_foreign(path)
        network = cls()
        wanted = network.state_dict()
        later = {key for key in state if key.startswith("classifier.") or _is_beyond(key, len(network.features))}
        weights.load_into(network, {key: state[key] for key in state if key in wanted or key not in later}, path)
        return network.eval().requires_grad_(False)


def _is_beyond(key: str, num_layers: int) -> bool:
    part = key.split(".")
    return part[0] == "features" and len(part) > 1 and part[1].isdigit() and int(part[1]) >= num_layers
