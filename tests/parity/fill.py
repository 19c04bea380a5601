"""Weights from nothing: the rule by which a published network was filled before its outputs were taken.

The files in `data/` hold what the official modules gave on such weights; a network of ours, filled alike through its
conversion, has to give the same. Every tensor follows from its key alone, so no checkpoint has to be had.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Keys = Mapping[str, tuple[Sequence[int], str]]
"""Key → shape and dtype name, as in `data/*_keys.json`."""

_POWER_ITERATIONS = 50


def fill(keys: Keys, *, with_noise: bool = False) -> dict[str, Tensor]:
    """A state dict for `keys`, its spectral norm vectors true singular vectors.

    Args:
        keys: what to fill.
        with_noise: whether `noise_scale`, which training starts at zero, gets values.
    """
    state = {key: _value(key, list(shape), getattr(torch, dtype), with_noise) for key, (shape, dtype) in keys.items()}
    for key in keys:
        if key.endswith(".weight_orig"):
            stem = key.removesuffix("orig")
            state[f"{stem}u"], state[f"{stem}v"] = _singular_vectors(state[key].flatten(1), state[f"{stem}u"])
    return state


def keys_of(module: torch.nn.Module) -> Keys:
    """What `fill` needs to know of a module that has no published keys file."""
    return {
        key: (list(tensor.shape), str(tensor.dtype).removeprefix("torch."))
        for key, tensor in module.state_dict().items()
    }


def _value(key: str, shape: list[int], dtype: torch.dtype, with_noise: bool) -> Tensor:
    if not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype)
    normal = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    match key.rpartition(".")[2]:
        case "running_var":
            return normal.abs().add(0.5)
        case "running_mean":
            return normal.mul(0.1)
        case "weight_u" | "weight_v":
            return normal / normal.norm()
        case "noise_scale":
            return normal.mul(0.1) if with_noise else torch.zeros(shape)
        case _ if len(shape) > 1:
            return normal / math.sqrt(math.prod(shape[1:]))
        case "weight":
            return 1 + normal.mul(0.05)
        case _:
            return normal.mul(0.05)


def _singular_vectors(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    v = u
    for _ in range(_POWER_ITERATIONS):
        v = matrix.t().mv(u)
        v = v / (v.norm() + 1e-12)
        u = matrix.mv(v)
        u = u / (u.norm() + 1e-12)
    return u, v
