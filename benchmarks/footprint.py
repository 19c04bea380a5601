"""What a process and all it starts take: seconds of CPU and memory, looked at twice a second."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

import psutil

_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """CPU seconds and the peak of memory that no other process shares, over a process and its descendants."""

    cpu_s: float
    peak_bytes: int


def watch(process: subprocess.Popen[bytes]) -> Footprint:
    """Waits for a process and gives what it took; a child of less than half a second may go unseen."""
    seconds: dict[tuple[int, float], float] = {}
    peak = 0
    while process.poll() is None:
        held = 0
        for member in _tree(process.pid):
            try:
                with member.oneshot():
                    times, memory = member.cpu_times(), member.memory_info()
                    seconds[member.pid, member.create_time()] = times.user + times.system
                    held += memory.rss - memory.shared
            except psutil.Error:  # gone since the tree was read
                continue
        peak = max(peak, held)
        time.sleep(_EVERY_S)
    return Footprint(cpu_s=sum(seconds.values()), peak_bytes=peak)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
