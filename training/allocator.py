"""What the C library does with memory that a step has freed."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's names of what `mallopt` sets (malloc.h)."""
_NEVER = -1
_LARGEST_BYTES = 32 * 2**20
"""glibc takes no more on 64 bits."""


def keep_freed_memory() -> bool:
    """Keeps for the next step, in this process, what a step on the CPU frees; gives whether this C library can.

    glibc gives large blocks back to the system at each step, which zeroes and maps them anew, page by page, at the
    next: of a 220 ms step of the small parser, 20,000 page faults and 35 ms. The process stays as large as its largest
    step made it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # Both: blocks that were mapped one by one would not be kept, and what is kept would be trimmed.
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
