"""Two real workers over gloo, in processes of their own, that stay for many calls."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import multiprocessing

from training.world import World

Work = Callable[..., Any]


class Pair:
    """Calls a function `(world, *arguments)` on both workers at once and gives what each returns."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections

    def __call__(self, work: Work, *arguments: Any) -> list[Any]:
        for connection in self._connections:
            connection.send((work, arguments))
        results = [connection.recv() for connection in self._connections]
        for result in results:
            if isinstance(result, str) and result.startswith("Traceback"):
                raise AssertionError(result)
        return results


@contextmanager
def two_workers(folder: Path) -> Iterator[Pair]:
    """Both workers, until the context ends."""
    context = multiprocessing.get_context("spawn")
    ends, processes = [], []
    for rank in range(2):
        mine, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(rank, folder / "store", theirs))
        process.start()
        ends.append(mine)
        processes.append(process)
    try:
        yield Pair(ends)
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.join(10)
            process.kill()


def _serve(rank: int, store: Path, connection: Connection) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(store), 2), rank=rank, world_size=2)
    world = World(rank=rank, num_workers=2, local_rank=rank, device=torch.device("cpu"))
    while True:
        try:
            work, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(work(world, *arguments))
        except Exception:  # noqa: BLE001  whatever it is, the test's own process shows it
            connection.send(traceback.format_exc())
