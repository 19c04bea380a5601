"""What the loop asks of whoever launched it: has anyone to stop, is this machine about to go?"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.wishes import Wish


class Supervisor:
    """Passes on that the run is to stop; a launcher that knows more overrides what it knows."""

    def __init__(self) -> None:
        self._reason = ""

    def stop(self, reason: str) -> None:
        """Asks for a checkpoint and the end after the step that is under way; safe in a signal handler."""
        self._reason = reason

    @property
    def reason(self) -> str:
        """Who asked to stop; empty while nobody has."""
        return self._reason

    def wish(self) -> Wish:
        """This worker's wish before a step; must cost next to nothing."""
        return Wish.STOP if self._reason else Wish.GO_ON

    def look(self) -> Wish:
        """News that takes all workers to get: called on each of them at the same step after any has wished to look."""
        return Wish.GO_ON

    @property
    def notice(self) -> str:
        """Why `look` wished for a checkpoint, for a person."""
        return ""

    def kept(self, step: int, address: str) -> None:
        """The checkpoint of a step is whole on every worker: called on each of them at the same time."""


def heard(signal_name: str) -> str:
    """What a person is told who has asked to stop."""
    return f"{signal_name}: ending with a checkpoint after this step; once more ends at once\n"


@contextmanager
def stopping_on_signals(supervisor: Supervisor, *, tell: bool = True) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop; a second one of them ends the process as it always would.

    Does nothing outside the main thread, which alone may handle signals.

    Args:
        tell: say on stderr that it was heard: the step under way and its checkpoint may take a while.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if supervisor.reason:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        supervisor.stop(name := signal.Signals(number).name)
        if tell:
            # Not print: the signal may have come while the buffer was being written.
            os.write(2, heard(name).encode())

    before = {int(number): signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
