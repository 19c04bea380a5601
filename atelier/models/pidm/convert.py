"""From the published checkpoint file to a folder of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.pidm.config import PidmConfig
from atelier.models.pidm.networks import Pidm

AVERAGED = "ema"
"""The entry of `last.pt` that sampling takes; beside it lie `model`, `optimizer`, `scheduler` and `conf`."""

_ENCODER = "encoder."
_IDLE = re.compile(
    r"encoder\.time_embed\.\d\.|encoder\..*\.emb_layers\.|.*\.cond_emb_layers\.|.*\.(qkv|proj_out1)\.(weight|bias)$"
)
"""Tensors of the published file (184, 18 M parameters) that no pass ever reads."""


def convert(
    *,
    checkpoint: str | Path | None = None,
    state_dict: str | Path | None = None,
    out: str | Path,
    config: PidmConfig | None = None,
) -> str:
    """Writes `last.pt`, or a plain state dict, as safetensors with a config; gives the folder's sha256.

    Networks have the published key names, the encoder in a file of its own. The tensors that no pass reads are left
    out, whether the file has them or not.

    Args:
        checkpoint: the published file; its `ema` entry is taken.
        state_dict: a file of that entry alone.
        config: what the file was trained with; None is the published network.

    Raises:
        WeightsError: not exactly one file given; a file that would have to be executed to be read, with the way round
            it; the list of missing, unexpected and mis-shaped keys; or a key that is not finite.
    """
    config = config or PidmConfig()
    source, state = _read(checkpoint, state_dict)
    parts = split(state)
    with torch.device("meta"):  # shapes are all that is asked of the networks
        model = Pidm(config)
    for name, part in parts.items():
        weights.check_keys(model.get_submodule(name), part, source)
        weights.check_finite(name, part, source)
    return weights.write_folder(out, config.to_json(), parts)


def split(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """A published state dict as one of each network, without the tensors that no pass reads."""
    parts: dict[str, dict[str, Tensor]] = {"unet": {}, "encoder": {}}
    for key, tensor in state.items():
        if not _IDLE.match(key):
            part = "encoder" if key.startswith(_ENCODER) else "unet"
            parts[part][key.removeprefix(_ENCODER)] = tensor
    return parts


def _read(checkpoint: str | Path | None, state_dict: str | Path | None) -> tuple[Path, dict[str, Tensor]]:
    if checkpoint is not None and state_dict is None:
        try:
            return Path(checkpoint), weights.read_foreign(checkpoint, AVERAGED)
        except WeightsError as error:
            if "more than tensors" not in error.reason:
                raise
            raise WeightsError(str(checkpoint), reason=f"{error.reason}. {_WAY_ROUND}") from error
    if state_dict is not None and checkpoint is None:
        return Path(state_dict), weights.read_foreign(state_dict)
    raise WeightsError("pidm", reason="give either the checkpoint or its state dict")


_WAY_ROUND = (
    "The published last.pt carries its settings as a pickled object, and unpickling runs code. Where you trust the"
    " file, take the weights out in an environment of their own, with tensorfn and pydantic 1 installed:"
    f' torch.save(torch.load("last.pt", map_location="cpu", weights_only=False)["{AVERAGED}"], "ema.pt");'
    " then convert that with --state-dict ema.pt"
)
