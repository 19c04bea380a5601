"""Whether a checkpoint's tensors are those of the networks that want them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from atelier.errors import ConfigError
from training.checkpoints.manifest import Index

_LISTED = 8
"""Names that an error spells out of each kind; the rest is counted."""


def refuse_other_model(address: str, parts: Collection[str], wanted: Mapping[str, Tensor], index: Index) -> None:
    """Holds a checkpoint against the state that is to be loaded, name by name and shape by shape.

    Args:
        parts: of the state; a checkpoint's other parts are not asked for.
        wanted: the state's tensors.

    Raises:
        ConfigError: lists what is missing, unexpected and of another shape.
    """
    held = {
        name: tensor.shape
        for name, tensor in index.tensors.items()
        if any(name.startswith(f"{part}/") for part in parts)
    }
    missing = sorted(wanted.keys() - held.keys())
    unexpected = sorted(held.keys() - wanted.keys())
    shaped = [
        f"{name} is {list(held[name])}, must be {list(wanted[name].shape)}"
        for name in sorted(wanted.keys() & held.keys())
        if held[name] != tuple(wanted[name].shape)
    ]
    if missing or unexpected or shaped:
        lines = [f"{address}: this checkpoint is of another model:"]
        for what, names in (("missing in it", missing), ("unexpected in it", unexpected), ("of another shape", shaped)):
            if names:
                rest = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
                lines.append(f"  {what} ({len(names)}): " + ", ".join(names[:_LISTED]) + rest)
        raise ConfigError("\n".join(lines))
