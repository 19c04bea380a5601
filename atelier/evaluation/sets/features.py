"""Networks whose features a distance between sets is taken on: only one of them makes it an FID."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from atelier import weights
from atelier.errors import WeightsError
from atelier.models import registry
from atelier.models.inception import FIDInception
from atelier.models.inception.networks import NUM_FEATURES
from atelier.models.lpips import LPIPS
from atelier.models.lpips.networks import CHANNELS
from atelier.models.lpips.networks import MODEL as LPIPS_MODEL
from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.parsing.networks import ParsingNet

_FILES = (".pth", ".pt", weights.SUFFIX)


@dataclass(frozen=True, kw_only=True)
class FeatureNetwork:
    """A frozen network from pictures in [0, 1], [B, 3, H, W], to features [B, num_features].

    Args:
        name: of the features, as it appears beside every score.
        is_fid: whether distances on them are FID and KID, which are defined on one network alone.
        num_features: per picture.
        digest: sha256 of the weights.
        module: the network.
        features: what to call for a batch.
    """

    name: str
    is_fid: bool
    num_features: int
    digest: str
    module: nn.Module
    features: Callable[[Tensor], Tensor]


def load_features(source: str) -> FeatureNetwork:
    """The feature network behind a file, a weight folder or a shipped name.

    Args:
        source: the FID's Inception weights as a `.pth` or `.safetensors`; or a folder or name of LPIPS weights (the
            last ReLU's mean over the picture) or of a parser of ours (the coarsest level's mean).

    Raises:
        WeightsError: none of these, or weights that do not fit.
    """
    path = Path(source)
    if path.suffix in _FILES:
        inception = FIDInception.from_file(path)
        return FeatureNetwork(
            name="inception_2015_pool3",
            is_fid=True,
            num_features=NUM_FEATURES,
            digest=weights.file_digest(path),
            module=inception,
            features=inception,
        )
    folder = registry.folder(source)
    model = weights.read_config(folder).get("model")
    if model == LPIPS_MODEL:
        return _of_lpips(folder)
    if model == ParsingNetConfig.model:
        return _of_parser(folder)
    known = f"{LPIPS_MODEL!r}, {ParsingNetConfig.model!r}, or a file of the FID's Inception"
    raise WeightsError(source, reason=f"its model is {model!r}; features can be had of {known}")


def _of_lpips(folder: Path) -> FeatureNetwork:
    network = LPIPS.from_pretrained(folder)
    return FeatureNetwork(
        name={"alex": "alexnet_relu5_mean", "vgg": "vgg16_relu5_3_mean"}[network.net],
        is_fid=False,
        num_features=CHANNELS[network.net][-1],
        digest=weights.folder_digest(folder),
        module=network,
        features=lambda pictures: network.backbone(pictures * 2 - 1)[-1].mean((2, 3)),
    )


def _of_parser(folder: Path) -> FeatureNetwork:
    network = ParsingNet.from_pretrained(folder).requires_grad_(False)
    config = network.config

    def features(pictures: Tensor) -> Tensor:
        size = config.scaled_size((pictures.shape[2], pictures.shape[3]))
        scaled = nn.functional.interpolate(pictures, size=size, mode="bilinear", antialias=True)
        return network.pyramid(scaled * 2 - 1)[1]

    return FeatureNetwork(
        name=f"{folder.name}_deepest_mean",
        is_fid=False,
        num_features=config.widths[-1],
        digest=weights.folder_digest(folder),
        module=network,
        features=features,
    )
