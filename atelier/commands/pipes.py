"""A command whose output goes into a pipe, as in `… list | head`: its reader may leave before the end."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

READER_LEFT = 141
"""Exit status that a shell gives a program ended by SIGPIPE."""


def telling(main: Callable[[], int]) -> int:
    """Runs a command and gives its exit status, or `READER_LEFT`, silently, once nobody reads its stdout any more."""
    try:
        status = main()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        if not _is_left(sys.stdout.fileno()):
            raise
        # The interpreter flushes once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _is_left(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
