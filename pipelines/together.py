"""Which partitions run at once, and their outcomes as one stream."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pipelines.placement import READING_CPUS, Machine, Placement

T = TypeVar("T")

_ENDED = object()
_PATIENCE_S = 30.0
"""How long a source may take to let go once nobody wants what it gives."""


def waves(placements: Sequence[Placement], machine: Machine) -> list[list[int]]:
    """Positions of the placements that run at once, wave after wave, in their order: as many as there is room for."""
    found: list[list[int]] = []
    cpus_left, gpus_left = 0.0, 0.0
    for index, placement in enumerate(placements):
        # Each keeps the CPUs for reading to itself: an execution that waits for another's never starts.
        if not found or placement.num_cpus > cpus_left or placement.num_gpus > gpus_left + 1e-6:
            found.append([])
            cpus_left, gpus_left = float(max(machine.num_cpus, READING_CPUS)), float(machine.num_gpus)
        found[-1].append(index)
        cpus_left -= placement.num_cpus
        gpus_left -= placement.num_gpus
    return found


def merged(sources: Sequence[Callable[[], Iterator[T]]]) -> Iterator[T]:
    """What several sources give, as it comes; each in a thread of its own, a single one in the caller's.

    The first error of a source is raised here; then, as when the caller stops early, the others are closed.
    """
    if len(sources) == 1:
        yield from sources[0]()
        return
    given: queue.Queue[object] = queue.Queue(maxsize=2 * len(sources))
    stopping = threading.Event()
    threads = [threading.Thread(target=_draw, args=(source, given, stopping), daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            item = given.get()
            if item is _ENDED:
                running -= 1
            elif isinstance(item, _Failure):
                raise item.error
            else:
                yield item  # pyright: ignore[reportReturnType]  what `_draw` puts in is a source's
    finally:
        stopping.set()
        for thread in threads:
            thread.join(_PATIENCE_S)


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def _draw(source: Callable[[], Iterator[T]], given: queue.Queue[object], stopping: threading.Event) -> None:
    """Puts all that a source gives into the queue, then how it ended."""

    def put(item: object) -> bool:
        while not stopping.is_set():
            try:
                given.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    try:
        items = source()
        for item in items:
            if not put(item):
                if (close := getattr(items, "close", None)) is not None:
                    close()
                return
    except BaseException as error:  # noqa: BLE001  raised again where the queue is read
        put(_Failure(error))
    else:
        put(_ENDED)
