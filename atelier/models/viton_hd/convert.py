"""From the published checkpoint files to a folder of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.viton_hd.config import VitonHDConfig
from atelier.models.viton_hd.networks import NETWORKS, VitonHD


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
        WeightsError: a file that is no plain state dict, or another network's; or lists its missing, unexpected and
            mis-shaped keys; or names a key that is not finite.
    """
    config = config or VitonHDConfig()
    with torch.device("meta"):  # shapes are all that is asked of the networks
        model = VitonHD(config)
    states = {}
    for name, path in zip(NETWORKS, (segmentation, matching, alias), strict=True):
        states[name] = weights.read_foreign(path)
        try:
            weights.check_keys(model.get_submodule(name), states[name], path)
        except WeightsError as error:
            raise _swapped(model, name, states[name], path) or error from None
        weights.check_finite(name, states[name], path)
    return weights.write_folder(out, config.to_json(), states)


def _swapped(model: VitonHD, name: str, state: Mapping[str, Tensor], path: str | Path) -> WeightsError | None:
    """What is wrong where the file is whole but another network's; None where it is nobody's."""
    for other in NETWORKS:
        wanted = model.get_submodule(other).state_dict()
        if {key: tensor.shape for key, tensor in state.items()} == {
            key: tensor.shape for key, tensor in wanted.items()
        }:
            reason = f"given as --{name}, but every key and shape in it is that of --{other}"
            return WeightsError(str(path), reason=reason)
    return None
