"""What a run holds of the machine's memory."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of this process: resident now, and the accelerator's peak since the process started (0 without one)."""

    resident_bytes: int = 0
    accelerator_peak_bytes: int = 0

    @classmethod
    def now(cls, device: torch.device) -> Memory:
        """As it stands; asks the accelerator's allocator and waits for no kernel."""
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
        return cls(resident_bytes=psutil.Process().memory_info().rss, accelerator_peak_bytes=peak)
