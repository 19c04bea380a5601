"""Batches that form when the device is free, of what may share one.

A timer would form them while the device is busy: eight requests 100 ms apart, a second each, ran as eight batches of
one. Here the first runs alone, and the seven that came meanwhile run together.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from atelier.errors import AtelierError

Wanted = Callable[[], Sequence[bool]]
"""Which items of a batch somebody still waits for, in their order; to be asked from any thread."""

Item = TypeVar("Item")
Made = TypeVar("Made")

_FIRST_GUESS_S = 1.0
"""What a batch is taken to last before one has run."""
_MEMORY = 0.3
"""Weight of the newest batch in the running mean of seconds."""


class Overloaded(AtelierError):
    """The queue is full; `retry_after_s` says when a place should be free."""

    def __init__(self, detail: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(detail)


class Late(AtelierError):
    """The deadline passed before the item was made."""


@dataclass(kw_only=True, eq=False)
class _Waiting(Generic[Item, Made]):
    key: Hashable
    item: Item
    entered_s: float
    deadline_s: float
    is_patient: bool
    future: asyncio.Future[Made] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher(Generic[Item, Made]):
    """One queue before one device, in one event loop.

    The oldest waiting item decides which key runs next, and its key's items go along in their order. Items whose caller
    left, or whose deadline passed, leave before the launch. When a batch raises, each of its items that is still wanted
    runs again alone, and only the one that raises alone gets the error.

    Args:
        run: makes a batch of items of one key; gives one result an item. It may raise what it likes once none is
            wanted any more.
        largest: the most items that a batch of a key may have.
        max_waiting: items that may wait; more are refused.
        clock: seconds that only go forward.
        launched: told of each batch before it runs: key, and the seconds that its items waited.
        queued: told how many items wait, whenever that changes.
    """

    def __init__(
        self,
        run: Callable[[Any, Sequence[Item], Wanted], Awaitable[Sequence[Made]]],
        *,
        largest: Callable[[Any], int],
        max_waiting: int,
        clock: Callable[[], float] = time.monotonic,
        launched: Callable[[Any, Sequence[float]], None] | None = None,
        queued: Callable[[int], None] | None = None,
    ) -> None:
        self._run, self._largest, self._max_waiting, self._clock = run, largest, max_waiting, clock
        self._launched = launched or (lambda _key, _waited: None)
        self._queued = queued or (lambda _waiting: None)
        self._waiting: list[_Waiting[Item, Made]] = []
        self._seconds: dict[Hashable, float] = {}
        self._launched_at_s: float | None = None
        self._running: Sequence[_Waiting[Item, Made]] = ()
        self._draining: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Items that wait for a launch."""
        return sum(not one.future.done() for one in self._waiting)

    @property
    def running(self) -> int:
        """Items of the running batch that somebody waits for."""
        return sum(self._is_wanted(one) for one in self._running)

    @property
    def busy_s(self) -> float:
        """Seconds that the running batch has been running; 0 where none runs."""
        return 0.0 if self._launched_at_s is None else self._clock() - self._launched_at_s

    def expected_wait_s(self, key: Hashable, more: int = 1) -> float:
        """Seconds until `more` items that came now would have been made, by the mean of batches so far."""
        batches: dict[Hashable, int] = {key: more}
        for one in self._waiting:
            if not one.future.done():
                batches[one.key] = batches.get(one.key, 0) + 1
        ahead = sum(math.ceil(count / self._largest(of)) * self._guess_s(of) for of, count in batches.items())
        return self._left_s + ahead

    async def submit(
        self, key: Hashable, items: Sequence[Item], *, timeout_s: float, is_patient: bool = False
    ) -> list[Made]:
        """The results of items, in their order.

        Cancelling it takes its items out of the queue; those of a running batch are not wanted any more.

        Args:
            is_patient: `timeout_s` is for the wait alone; else what runs then is not wanted any more either, and given
                where it was made nevertheless.

        Raises:
            Overloaded: there is no room for all of them, or they could not be made in time.
            Late: `timeout_s` passed while they waited, or before they were made, or is less than they take with
                nothing ahead of them: no queue is at fault, and asking again would not help.
        """
        expected = self.expected_wait_s(key, len(items))
        alone = math.ceil(len(items) / self._largest(key)) * self._guess_s(key)
        if self.waiting + len(items) > self._max_waiting:
            detail = f"{self.waiting} pictures are waiting, at most {self._max_waiting} may; try again later"
            raise Overloaded(detail, max(1.0, self._free_in_s(self.waiting + len(items) - self._max_waiting)))
        if self._seconds and not is_patient and alone > timeout_s:
            raise Late(f"takes about {alone:.1f} s by itself, and its deadline is in {timeout_s:.2f} s")
        if self._seconds and expected - (alone if is_patient else 0.0) > timeout_s:
            detail = (
                f"{self.waiting} pictures are waiting; this one would take {expected:.1f} s, more than its deadline"
            )
            raise Overloaded(detail, max(1.0, expected - timeout_s))
        now = self._clock()
        entered = [
            _Waiting[Item, Made](key=key, item=item, entered_s=now, deadline_s=now + timeout_s, is_patient=is_patient)
            for item in items
        ]
        self._waiting += entered
        self._queued(self.waiting)
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())
        try:
            return list(await asyncio.gather(*(one.future for one in entered)))
        finally:
            for one in entered:
                # Asked for, so that asyncio does not report as forgotten what the first error stands for.
                if not one.future.cancel() and not one.future.cancelled():
                    one.future.exception()
            self._queued(self.waiting)

    async def _drain(self) -> None:
        while batch := self._next():
            key, now = batch[0].key, self._clock()
            self._launched(key, [now - one.entered_s for one in batch])
            try:
                made = await self._timed(key, batch)
            except Exception as error:  # noqa: BLE001  whatever it is, it is the answer of whoever brought it about
                self._give_up(one for one in batch if not one.is_patient)
                if len(batch) == 1:
                    _answer(batch[0], error)
                else:
                    await self._alone(key, batch)
                continue
            for one, result in zip(batch, made, strict=True):
                _answer(one, result)

    async def _alone(self, key: Hashable, batch: Sequence[_Waiting[Item, Made]]) -> None:
        for one in batch:
            if one.future.done():
                continue
            try:
                (result,) = await self._timed(key, [one])
            except Exception as error:  # noqa: BLE001  as above
                self._give_up(one for one in batch if not one.is_patient)
                _answer(one, error)
            else:
                _answer(one, result)

    async def _timed(self, key: Hashable, batch: Sequence[_Waiting[Item, Made]]) -> Sequence[Made]:
        self._launched_at_s = started = self._clock()
        self._running = batch
        try:
            made = await self._run(key, [one.item for one in batch], lambda: [self._is_wanted(one) for one in batch])
            took = self._clock() - started
            before = self._seconds.get(key, took)
            self._seconds[key] = (1 - _MEMORY) * before + _MEMORY * took
            return made
        finally:
            self._launched_at_s, self._running = None, ()

    def _is_wanted(self, one: _Waiting[Item, Made]) -> bool:
        return not one.future.done() and (one.is_patient or self._clock() < one.deadline_s)

    def _give_up(self, items: Iterable[_Waiting[Item, Made]]) -> None:
        """Tells those whose deadline has passed."""
        now = self._clock()
        for one in items:
            if not one.future.done() and one.deadline_s <= now:
                waited = now - one.entered_s
                one.future.set_exception(Late(f"waited {waited:.1f} s, longer than its deadline"))

    def _next(self) -> list[_Waiting[Item, Made]]:
        self._give_up(self._waiting)
        self._waiting = [one for one in self._waiting if not one.future.done()]
        if not self._waiting:
            return []
        key = self._waiting[0].key
        batch = [one for one in self._waiting if one.key == key][: self._largest(key)]
        self._waiting = [one for one in self._waiting if one not in batch]
        self._queued(self.waiting)
        return batch

    @property
    def _left_s(self) -> float:
        """Seconds that the running batch will take still."""
        if self._launched_at_s is None:
            return 0.0
        return max(0.0, max(self._seconds.values(), default=_FIRST_GUESS_S) - self.busy_s)

    def _free_in_s(self, places: int) -> float:
        """Seconds until so many of those that wait have been launched: batches leave the queue when they begin."""
        waiting = [one for one in self._waiting if not one.future.done()]
        seconds = self._left_s
        while waiting:
            key = waiting[0].key
            batch = [one for one in waiting if one.key == key][: self._largest(key)]
            places -= len(batch)
            if places <= 0:
                break
            waiting = [one for one in waiting if one not in batch]
            seconds += self._guess_s(key)
        return seconds

    def _guess_s(self, key: Hashable) -> float:
        return self._seconds.get(key, max(self._seconds.values(), default=_FIRST_GUESS_S))


def _answer(one: _Waiting[Any, Made], result: Made | BaseException) -> None:
    if one.future.done():
        return  # its caller has left
    if isinstance(result, BaseException):
        one.future.set_exception(result)
    else:
        one.future.set_result(result)
