"""A run's settings as flat plain values: compared when a checkpoint is taken up, listed where they differ."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

Plain = str | int | float | bool | None
"""What JSON holds without nesting."""


def settings_of(config: Any) -> dict[str, Plain]:
    """Every setting that decides the weights, as `step.model.widths.0` → value.

    Nested dataclasses add their own class under their own name, so that another kind of step never passes for this one.
    A field with `metadata={"identity": False}` decides no weight (how often to log, how many checkpoints to keep) and
    is left out.

    Args:
        config: a dataclass of plain values, dataclasses, functions, tuples and mappings.

    Raises:
        TypeError: a field holds something else, which could not be compared.
    """
    flat: dict[str, Plain] = {}
    _flatten("", config, flat)
    return dict(sorted(flat.items()))


def _flatten(name: str, value: Any, flat: dict[str, Plain]) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        if name:
            flat[name] = type(value).__name__
        fields = [field for field in dataclasses.fields(value) if field.metadata.get("identity", True)]
        _flatten_all(name, {field.name: getattr(value, field.name) for field in fields}, flat)
    elif isinstance(value, Mapping):
        _flatten_all(name, {str(key): value[key] for key in value}, flat)
    elif isinstance(value, (tuple, list, frozenset, set)):
        values = sorted(value, key=str) if isinstance(value, (frozenset, set)) else value
        flat[f"{name}.count"] = len(value)  # an empty one must differ from an absent one
        _flatten_all(name, {str(index): one for index, one in enumerate(values)}, flat)
    else:
        flat[name] = _plain(name, value)


def _flatten_all(name: str, values: Mapping[str, Any], flat: dict[str, Plain]) -> None:
    for key, value in values.items():
        _flatten(f"{name}.{key}" if name else key, value, flat)


def _plain(name: str, value: Any) -> Plain:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (Path, torch.dtype, torch.device)):
        return str(value)
    if isinstance(value, Callable):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"{name}: a {type(value).__name__} cannot be compared between runs; must be a plain value")
