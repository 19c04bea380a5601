"""The FID's Inception v3 up to its last pool, loaded from the usual PyTorch port of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.inception.blocks import Convolution, Grid8, Grid17, Grid35, To8, To17

NUM_FEATURES = 2048
INPUT_SIZE = (299, 299)
_NUM_CLASSES = 1008
"""Of TensorFlow's 2015 graph; torchvision's own Inception has 1000, and distances by it are no FID."""
_UNCOUNTED = ".num_batches_tracked"


class FIDInception(nn.Module):
    """2048 features a picture: the last average pool (`pool_3`) of TensorFlow's inception-2015-12-05.

    Attributes have the names of the weight file's keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = Grid35(192, pooled=32)
        self.Mixed_5c = Grid35(256, pooled=64)
        self.Mixed_5d = Grid35(288, pooled=64)
        self.Mixed_6a = To17(288)
        self.Mixed_6b = Grid17(768, width=128)
        self.Mixed_6c = Grid17(768, width=160)
        self.Mixed_6d = Grid17(768, width=160)
        self.Mixed_6e = Grid17(768, width=192)
        self.Mixed_7a = To8(768)
        self.Mixed_7b = Grid8(1280, by_maximum=False)
        self.Mixed_7c = Grid8(2048, by_maximum=True)

    def forward(self, picture: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 2048"]:
        """Features of pictures in [0, 1], which are brought to 299x299 bilinearly, without a filter."""
        x = 2 * F.interpolate(picture, size=INPUT_SIZE, mode="bilinear", align_corners=False) - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The network with the weights of `pt_inception-2015-12-05-6726825d.pth`, or a `.safetensors` of it, frozen.

        Raises:
            WeightsError: no such file, another Inception, or keys that do not fit, listed.
        """
        state = weights.read_file(path)
        _check_classifier(state, path)
        network = cls()
        features = {key: value for key, value in state.items() if not key.startswith("fc.")}
        # Counters are no part of what is computed, and the port's file may come without them.
        counters = {key: value for key, value in network.state_dict().items() if key.endswith(_UNCOUNTED)}
        weights.load_into(network, counters | features, path)
        return network.eval().requires_grad_(False)


def _check_classifier(state: Mapping[str, Tensor], path: str | Path) -> None:
    for key, shape in (("fc.weight", (_NUM_CLASSES, NUM_FEATURES)), ("fc.bias", (_NUM_CLASSES,))):
        found = tuple(state[key].shape) if key in state else None
        if found != shape:
            reason = (
                f"{key} is {'missing' if found is None else list(found)}, must be {list(shape)}: these are not the "
                "weights that the FID is defined on (TensorFlow's inception-2015-12-05), and distances by others are "
                "no FID"
            )
            raise WeightsError(str(path), reason=reason)


def key_table() -> dict[str, tuple[int, ...]]:
    """Key → shape of the weight file, its classifier included."""
    with torch.device("meta"):
        table = {key: tuple(value.shape) for key, value in FIDInception().state_dict().items()}
    return table | {"fc.weight": (_NUM_CLASSES, NUM_FEATURES), "fc.bias": (_NUM_CLASSES,)}
