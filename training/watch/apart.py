"""Watching from a thread of its own: who hangs there holds no step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from training.watch.observer import LOG, Observer, Observers, RunFacts, StepReport, ValidationReport


class Apart(Observer):
    """Tells an observer that may fail in another thread, in order, while the loop goes on.

    As many things as there is `room` for wait to be told; what comes while it is full is left out, counted, and said at
    the end, which waits for the rest.

    Args:
        patience_s: how long the end waits at most.
    """

    may_fail = True

    def __init__(self, observer: Observer, *, room: int = 1000, patience_s: float = 30.0) -> None:
        self._name = type(observer).__name__
        self._observer = Observers([observer])
        self._patience_s = patience_s
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(room)
        self._num_left_out = 0
        # A daemon: one that hangs must not hold the end of the program.
        self._thread = threading.Thread(target=self._tell, name=f"tells {self._name}", daemon=True)
        self._thread.start()

    def started(self, facts: RunFacts) -> None:
        self._put(lambda: self._observer.started(facts))

    def stepped(self, report: StepReport) -> None:
        self._put(lambda: self._observer.stepped(report))

    def noticed(self, step: int, reason: str) -> None:
        self._put(lambda: self._observer.noticed(step, reason))

    def kept(self, step: int, address: str) -> None:
        self._put(lambda: self._observer.kept(step, address))

    def validated(self, report: ValidationReport) -> None:
        self._put(lambda: self._observer.validated(report))

    def stopped(self, step: int, reason: str) -> None:
        self._put(lambda: self._observer.stopped(step, reason))
        self._put(None)
        self._thread.join(self._patience_s)
        missed = self._num_left_out + sum(call is not None for call in self._waiting.queue)
        if missed or self._thread.is_alive():
            LOG.warning("%s hangs: at least %d of the things it was told are missing there", self._name, missed)

    def _put(self, call: Callable[[], None] | None) -> None:
        try:
            self._waiting.put_nowait(call)
        except queue.Full:
            self._num_left_out += call is not None

    def _tell(self) -> None:
        while (call := self._waiting.get()) is not None:
            call()
