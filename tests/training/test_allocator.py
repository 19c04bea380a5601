"""Freed memory stays in the process that computes."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_MIB = (28, 4, 20, 12, 24, 8, 16, 28, 4, 20, 12, 24)
_PAGES = sum(_MIB) * 2**20 // 4096
_PROGRAM = f"""
import resource
import torch
from training.allocator import keep_freed_memory
assert keep_freed_memory()
def step(): return [torch.ones(mib * 2**18) for mib in {_MIB}]
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps what it likes")
def test_what_a_step_freed_is_not_mapped_anew_in_the_next() -> None:
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert int(run.stdout) < _PAGES / 3
