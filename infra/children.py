"""Programs that a program starts beside itself, none of which is to outlive it."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], int] | None:
    """What a child runs before it becomes its program: on Linux the kernel kills it when its parent is killed, one that
    stands still as well."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
