"""Batches form when the device is free; a bad item, a caller who leaves and a deadline concern nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from serving.models.batcher import Batcher, Late, Overloaded, Wanted

pytestmark = pytest.mark.anyio


class Device:
    """Makes `item * 10` when it is let go, unless nobody wants any of a batch then; remembers its batches.

    Items in `broken` cannot be made.
    """

    def __init__(self, *, broken: Sequence[int] = ()) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.broken, self.go = set(broken), asyncio.Event()
        self.now_s, self.takes_s = 0.0, 2.0
        self.wanted: Wanted = list

    async def run(self, key: str, items: Sequence[int], wanted: Wanted) -> list[int]:
        self.batches.append((key, list(items)))
        self.wanted = wanted
        await self.go.wait()
        if not any(wanted()):
            raise RuntimeError("stopped")
        self.now_s += self.takes_s
        if self.broken & set(items):
            raise RuntimeError(f"cannot make {sorted(self.broken & set(items))}")
        return [item * 10 for item in items]


def batcher(device: Device, *, largest: int = 8, max_waiting: int = 100) -> Batcher[int, int]:
    return Batcher(device.run, largest=lambda _key: largest, max_waiting=max_waiting, clock=lambda: device.now_s)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_comes_while_the_device_is_busy_runs_together() -> None:
    device = Device()
    queue = batcher(device)
    first = asyncio.create_task(queue.submit("a", [0], timeout_s=100))
    await settle()
    asked = [asyncio.create_task(queue.submit("a", [item], timeout_s=100)) for item in range(1, 8)]
    await settle()
    assert device.batches == [("a", [0])]
    device.go.set()

    assert await asyncio.gather(first, *asked) == [[item * 10] for item in range(8)]
    assert device.batches == [("a", [0]), ("a", [1, 2, 3, 4, 5, 6, 7])]


async def test_a_batch_is_of_one_key_and_no_larger_than_it_may_be_and_the_oldest_goes_first() -> None:
    device = Device()
    queue = batcher(device, largest=3)
    first = asyncio.create_task(queue.submit("z", [99], timeout_s=100))
    await settle()
    asked = [
        asyncio.create_task(queue.submit(key, [item], timeout_s=100))
        for item, key in enumerate(["b", "a", "b", "a", "b", "b"])
    ]
    await settle()
    device.go.set()
    await asyncio.gather(first, *asked)

    assert device.batches == [("z", [99]), ("b", [0, 2, 4]), ("a", [1, 3]), ("b", [5])]


async def test_an_item_that_cannot_be_made_fails_alone() -> None:
    device = Device(broken=[2])
    device.go.set()
    queue = batcher(device)
    holding = asyncio.create_task(queue.submit("a", [0], timeout_s=100))
    asked = [asyncio.create_task(queue.submit("a", [item], timeout_s=100)) for item in (1, 2, 3)]
    await asyncio.gather(holding, *asked, return_exceptions=True)

    assert [task.result() for task in (holding, asked[0], asked[2])] == [[0], [10], [30]]
    with pytest.raises(RuntimeError, match=r"cannot make \[2\]"):
        asked[1].result()


async def test_a_caller_who_leaves_takes_the_items_along() -> None:
    device = Device()
    queue = batcher(device, largest=2)
    running = asyncio.create_task(queue.submit("a", [0], timeout_s=100))
    await settle()
    leaving = asyncio.create_task(queue.submit("a", [1, 2], timeout_s=100))
    staying = asyncio.create_task(queue.submit("a", [3], timeout_s=100))
    await settle()
    assert queue.waiting == 3
    leaving.cancel()
    await settle()
    assert queue.waiting == 1
    device.go.set()

    assert await staying == [30] and await running == [0]
    assert device.batches == [("a", [0]), ("a", [3])]


async def test_a_running_item_whose_caller_left_is_not_wanted_and_its_mates_are() -> None:
    device = Device()
    queue = batcher(device)
    leaving, staying = (asyncio.create_task(queue.submit("a", [item], timeout_s=100)) for item in (1, 2))
    await settle()
    assert device.batches == [("a", [1, 2])] and device.wanted() == [True, True]
    leaving.cancel()
    await settle()
    assert device.wanted() == [False, True]
    device.go.set()

    assert await staying == [20]
    assert device.batches == [("a", [1, 2])], "what nobody wants is not run again"


async def test_a_batch_that_stops_since_nobody_wants_it_is_not_run_again() -> None:
    device = Device()
    queue = batcher(device)
    leaving = [asyncio.create_task(queue.submit("a", [item], timeout_s=100)) for item in (1, 2)]
    await settle()
    for task in leaving:
        task.cancel()
    await settle()
    device.go.set()

    assert await queue.submit("a", [3], timeout_s=100) == [30]
    assert device.batches == [("a", [1, 2]), ("a", [3])]


async def test_a_running_item_past_its_deadline_is_told_when_its_batch_stops() -> None:
    device = Device()
    queue = batcher(device)
    hasty = asyncio.create_task(queue.submit("a", [0], timeout_s=3))
    await settle()
    device.now_s = 3.5
    assert device.wanted() == [False]
    device.go.set()
    with pytest.raises(Late, match=r"waited 3\.5 s"):
        await hasty

    device.go.clear()
    patient = asyncio.create_task(queue.submit("a", [1], timeout_s=3, is_patient=True))
    await settle()
    device.now_s = 60
    assert device.wanted() == [True], "it was launched in time"
    device.go.set()
    assert await patient == [10]


async def test_what_is_past_its_deadline_is_not_launched() -> None:
    device = Device()
    queue = batcher(device)
    running = asyncio.create_task(queue.submit("a", [0], timeout_s=100))
    await settle()
    late = asyncio.create_task(queue.submit("a", [1], timeout_s=1.5))
    in_time = asyncio.create_task(queue.submit("a", [2], timeout_s=100))
    await settle()
    device.go.set()

    assert await in_time == [20] and await running == [0]
    with pytest.raises(Late, match=r"waited 2\.0 s"):
        await late
    assert device.batches == [("a", [0]), ("a", [2])]


async def test_a_full_queue_says_when_there_will_be_room() -> None:
    device = Device()
    device.go.set()
    queue = batcher(device, largest=2, max_waiting=4)
    await queue.submit("a", [0], timeout_s=100)  # a batch takes 2 s: from now on that is known
    device.go.clear()
    running = asyncio.create_task(queue.submit("a", [1], timeout_s=100))
    await settle()
    waiting = asyncio.create_task(queue.submit("a", [2, 3, 4, 5], timeout_s=100))
    await settle()
    with pytest.raises(Overloaded, match="4 pictures are waiting, at most 4 may") as refused:
        await queue.submit("a", [6], timeout_s=100)

    with pytest.raises(Overloaded) as refused_three:
        await queue.submit("a", [6, 7, 8], timeout_s=100)

    # One batch runs, of 2 s; then two of those that wait leave the queue, and the other two after 2 s more.
    assert refused.value.retry_after_s == pytest.approx(2.0)
    assert refused_three.value.retry_after_s == pytest.approx(4.0)
    device.go.set()
    assert await waiting == [20, 30, 40, 50]
    await running
    assert await queue.submit("a", [6], timeout_s=100) == [60]


async def test_what_cannot_be_made_in_time_is_refused_at_once() -> None:
    device = Device()
    device.go.set()
    queue = batcher(device, largest=1)
    await queue.submit("a", [0], timeout_s=100)
    device.go.clear()
    running = asyncio.create_task(queue.submit("a", [1], timeout_s=100))
    await settle()
    with pytest.raises(Overloaded, match="more than its deadline"):
        await queue.submit("a", [2], timeout_s=3)

    device.go.set()
    assert await running == [10]
    assert device.batches == [("a", [0]), ("a", [1])]


async def test_what_takes_longer_than_its_deadline_by_itself_is_late_and_no_queue_is_blamed() -> None:
    device = Device()
    device.go.set()
    queue = batcher(device, largest=1)
    await queue.submit("a", [0], timeout_s=100)
    with pytest.raises(Late, match=r"takes about 2.0 s by itself, and its deadline is in 1.00 s"):
        await queue.submit("a", [1], timeout_s=1)

    assert await queue.submit("a", [2], timeout_s=1, is_patient=True) == [20], "its time is for the wait alone"


async def test_the_length_of_the_queue_is_told_while_it_changes() -> None:
    device, told = Device(), []
    queue: Batcher[int, int] = Batcher(device.run, largest=lambda _key: 8, max_waiting=9, queued=told.append)
    first = asyncio.create_task(queue.submit("a", [0], timeout_s=100))
    await settle()
    others = [asyncio.create_task(queue.submit("a", [item, item + 1], timeout_s=100)) for item in (1, 3)]
    await settle()
    assert told == [1, 0, 2, 4], "the first was launched at once, the others wait behind it"
    others[1].cancel()
    await settle()
    assert told[-1] == 2
    device.go.set()
    await asyncio.gather(first, others[0])

    assert told[-1] == queue.waiting == 0
