"""The copy of a state that is stored while the next steps overwrite the state itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.staging import AsyncStager, DefaultStager, StagingOptions
from torch.distributed.tensor import DTensor


class Stager(AsyncStager):
    """Copies into memory that it keeps from one save to the next; the save before must have ended.

    The copy is whole when `stage` returns. Shards and what lies on an accelerator go the way of torch's own stager,
    through pinned memory at the speed of the bus; it takes 30 µs a tensor, so plain tensors in CPU memory, of which a
    small network has a thousand, are copied directly.
    """

    _synchronize_after_execute = False

    def __init__(self, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self._others = DefaultStager(
            StagingOptions(
                use_pinned_memory=cuda, use_shared_memory=False, use_async_staging=False, use_non_blocking_copy=cuda
            )
        )
        self._copies: dict[str, Tensor] = {}

    @torch.no_grad()
    def stage(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """The same nesting of one level, part → name → tensor, in copies."""
        return {part: self._copied(part, tensors) for part, tensors in state_dict.items()}

    def close(self) -> None:
        """Gives the memory back."""
        self._copies.clear()
        self._others.close()

    def _copied(self, part: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        plain = {name: tensor for name, tensor in tensors.items() if _is_plain(tensor)}
        for name, tensor in plain.items():
            copy = self._copies.get(f"{part}/{name}")
            if copy is None or copy.shape != tensor.shape or copy.dtype != tensor.dtype:
                copy = self._copies[f"{part}/{name}"] = torch.empty_like(tensor, requires_grad=False)
            copy.copy_(tensor)
        others = {name: tensor for name, tensor in tensors.items() if name not in plain}
        staged: Any = self._others.stage(others) if others else {}
        return {name: self._copies[f"{part}/{name}"] if name in plain else staged[name] for name in tensors}


def _is_plain(tensor: Tensor) -> bool:
    return not isinstance(tensor, DTensor) and tensor.device.type == "cpu"
