"""What a device could do at best, so that a run can say how much of it it gets."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import torch

Precision = Literal["bfloat16", "float32"]
_TERA = 1e12


@dataclass(frozen=True, kw_only=True)
class Peak:
    """Floating-point operations a second, and where the figure is from."""

    flops_per_s: float
    source: str


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """A data sheet's dense rates in TFLOP/s: bfloat16 and TF32 on tensor cores, float32 without them."""

    bfloat16: float
    tf32: float
    float32: float


_SHEETS: Mapping[str, _Sheet] = MappingProxyType(
    {
        "H200 NVL": _Sheet(bfloat16=835, tf32=417, float32=60),
        "H200": _Sheet(bfloat16=989, tf32=494, float32=67),
        "H100 NVL": _Sheet(bfloat16=835, tf32=417, float32=60),
        "H100 PCIe": _Sheet(bfloat16=756, tf32=378, float32=51),
        "H100": _Sheet(bfloat16=989, tf32=494, float32=67),
        "A100": _Sheet(bfloat16=312, tf32=156, float32=19.5),
        "L40S": _Sheet(bfloat16=362, tf32=183, float32=91.6),
        "L4": _Sheet(bfloat16=121, tf32=60, float32=30.3),
        "A10G": _Sheet(bfloat16=70, tf32=35, float32=31.5),
        "A10": _Sheet(bfloat16=125, tf32=62.5, float32=31.2),
    }
)
"""NVIDIA's data sheets, sparsity halved where they give it; the first name that a device's name holds counts."""

_MEASURED_SIZE, _MEASURED_S, _MEASURED_TIMES, _MOST_S = 1024, 0.2, 5, 2.0


def peak_of(device: torch.device, precision: Precision) -> Peak:
    """The peak of a device in a precision: the data sheet's, else what a large matrix product reaches on it now.

    Args:
        precision: in `float32` cuDNN takes TF32 for convolutions unless it is forbidden, and
            then TF32's figure counts.
    """
    if device.type == "cuda":
        kind = "tf32" if precision == "float32" and torch.backends.cudnn.allow_tf32 else precision
        if (peak := published_peak(torch.cuda.get_device_name(device), kind)) is not None:
            return peak
    return _measured(str(device), precision, torch.get_num_threads())


def published_peak(name: str, kind: Literal["bfloat16", "tf32", "float32"]) -> Peak | None:
    """The data sheet's dense figure of a device by its driver's name for it; None where the table has none."""
    for key, sheet in _SHEETS.items():
        if re.search(rf"\b{key}\b", name):
            return Peak(flops_per_s=getattr(sheet, kind) * _TERA, source=f"{name}'s data sheet, dense {kind}")
    return None


@lru_cache
def _measured(device: str, precision: Precision, num_threads: int) -> Peak:
    """The best of a few products of square matrices, of one where that takes long; cached, for every observer asks."""
    matrix = torch.ones(_MEASURED_SIZE, _MEASURED_SIZE, device=device, dtype=getattr(torch, precision))
    took_s: list[float] = []
    while sum(took_s) < _MOST_S and (len(took_s) < _MEASURED_TIMES or sum(took_s) < _MEASURED_S):
        begun = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # waits for an accelerator
        took_s.append(time.perf_counter() - begun)
    source = f"measured: {precision} product of {_MEASURED_SIZE}x{_MEASURED_SIZE} matrices"
    if device == "cpu":
        source += f", {num_threads} threads"
    return Peak(flops_per_s=2 * _MEASURED_SIZE**3 / min(took_s), source=source)
