"""From the published checkpoint files to a folder of ours."""

from __future__ import annotations

from pathlib import Path

import torch

from atelier import weights
from atelier.models.viton_hd.config import VitonHDConfig
from atelier.models.viton_hd.networks import VitonHD


def convert(
    *,
    segmentation: str | Path,
    matching: str | Path,
    alias: str | Path,
    out: str | Path,
    config: VitonHDConfig | None = None,
) -> str:
    """Writes `seg_final.pth`, `gmm_final.pth` and `alias_final.pth` as safetensors with a config; gives its sha256.

    The networks have the published key names, so the tensors are taken as they are, old-style spectral norm vectors
    included, once every key and shape has been found right.

    Args:
        config: what the checkpoints were trained with; None is the published network.

    Raises:
        WeightsError: a file that is no plain state dict, or lists its missing, unexpected and mis-shaped keys.
    """
    config = config or VitonHDConfig()
    with torch.device("meta"):  # shapes are all that is asked of the networks
        model = VitonHD(config)
    states = {}
    for name, path in (("segmentation", segmentation), ("matching", matching), ("alias", alias)):
        states[name] = weights.read_foreign(path)
        weights.check_keys(model.get_submodule(name), states[name], path)
    return weights.write_folder(out, config.to_json(), states)
