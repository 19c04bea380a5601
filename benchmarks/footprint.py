"""What processes and all they start take, looked at twice a second, and what others took meanwhile."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import psutil

from infra.children import die_with_parent

_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Processes with their descendants.

    Args:
        cpu_s: seconds of CPU.
        peak_bytes: peak of the memory that no other process shares.
        others: share of the machine's CPU time that everything else took meanwhile, 0..1.
    """

    cpu_s: float
    peak_bytes: int
    others: float


def start(
    command: Sequence[str], out: BinaryIO, *, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a program that does not outlive this one.

    Args:
        out: takes all that it prints. environment: None for this program's.
    """
    return subprocess.Popen(
        command, stdout=out, stderr=subprocess.STDOUT, env=environment, preexec_fn=die_with_parent()
    )


def watch(*processes: subprocess.Popen[bytes]) -> Footprint:
    """Waits for processes and gives what they took; a child of less than half a second may go unseen."""
    seconds: dict[tuple[int, float], float] = {}
    peak = 0
    started, taken = time.monotonic(), _machine_cpu_s()
    while running := [process for process in processes if process.poll() is None]:
        held = 0
        for member in (member for process in running for member in _tree(process.pid)):
            try:
                with member.oneshot():
                    times, memory = member.cpu_times(), member.memory_info()
                    seconds[member.pid, member.create_time()] = times.user + times.system
                    held += memory.rss - memory.shared
            except psutil.Error:  # gone since the tree was read
                continue
        peak = max(peak, held)
        time.sleep(_EVERY_S)
    own = sum(seconds.values())
    there = (time.monotonic() - started) * (psutil.cpu_count() or 1)
    return Footprint(cpu_s=own, peak_bytes=peak, others=max(0.0, _machine_cpu_s() - taken - own) / there)


def _machine_cpu_s() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []
