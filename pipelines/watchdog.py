"""The watchdog: ends a worker that hangs, so that a hung row costs what a crashing row costs and no more."""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STATUS = 70
_STDERR = 2
_GRACE_S = 10.0


class Watchdog:
    """Ends this process when one piece of work takes longer than `deadline_s`.

    Args:
        on_expiry: told where the work hangs (the stack of its thread), just before the end.
    """

    def __init__(self, deadline_s: float, on_expiry: Callable[[str], None]) -> None:
        self._deadline_s, self._on_expiry = deadline_s, on_expiry

    @contextmanager
    def over(self) -> Iterator[None]:
        """Watches the work done within."""
        timer = threading.Timer(self._deadline_s, self._expire, args=[threading.get_ident()])
        timer.daemon = True
        timer.start()
        # A hang in native code may never let a Python thread run; faulthandler's own thread does not ask.
        faulthandler.dump_traceback_later(self._deadline_s + _GRACE_S, exit=True, file=_STDERR)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            timer.cancel()

    def _expire(self, thread: int) -> None:
        frame = sys._current_frames().get(thread)
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        sys.stderr.write(f"no end after {self._deadline_s:g} s; hangs at\n{stack}")
        sys.stderr.flush()
        try:
            self._on_expiry(stack)
        finally:
            os._exit(EXIT_STATUS)
