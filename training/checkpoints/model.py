"""Whether a checkpoint's tensors are those of the networks that want them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from atelier.errors import ConfigError
from training.checkpoints.manifest import Index

_LISTED = 8
"""Names that an error spells out of each kind; the rest is counted."""


def refuse_other_model(address: str, parts: Collection[str], wanted: Mapping[str, Tensor], index: Index) -> None:
    """Holds a checkpoint against the state that is to be loaded, by names, types and shapes.

    Args:
        parts: of the state; a checkpoint's other parts are not asked for.
        wanted: the state's tensors.

    Raises:
        ConfigError: lists what is missing, unexpected and of another shape.
    """
    held = {
        name: f"{tensor.dtype} {list(tensor.shape)}"
        for name, tensor in index.tensors.items()
        if any(name.startswith(f"{part}/") for part in parts)
    }
    must = {name: f"{tensor.dtype} {list(tensor.shape)}".removeprefix("torch.") for name, tensor in wanted.items()}
    missing = sorted(must.keys() - held.keys())
    unexpected = sorted(held.keys() - must.keys())
    shaped = [
        f"{name} is {held[name]}, must be {must[name]}"
        for name in sorted(must.keys() & held.keys())
        if held[name] != must[name]
    ]
    if missing or unexpected or shaped:
        lines = [f"{address}: this checkpoint is of another model:"]
        for what, names in (("missing in it", missing), ("unexpected in it", unexpected), ("of another shape", shaped)):
            if names:
                rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
                lines.append(f"  {what} ({len(names)}): " + ", ".join(names[:_LISTED]) + rest)
        raise ConfigError("\n".join(lines))
