"""Workers that save and save, each state one number throughout: what was killed in between is told by mixed numbers."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from atelier.errors import StorageError
from training.checkpoints import CheckpointInfo, CheckpointStore, Retention, Saved, TrainState
from training.world import World

KEEP = Retention(num_last=2)
INFO = CheckpointInfo(run="numbers", num_steps_done=0, settings={}, data="none")


def numbers() -> TrainState:
    """Some megabytes in tensors large and small."""
    sizes = (500_000, 500_000, 250_000, *(1_000 for _ in range(200)))
    networks = nn.ParameterDict({f"p{index}": nn.Parameter(torch.zeros(size)) for index, size in enumerate(sizes)})
    return TrainState(networks=networks)


def save_for_ever(folder: Path, told: Connection) -> None:
    """Takes up what is there, then makes a checkpoint of every number that follows; tells of each that is whole."""
    torch.set_num_threads(1)
    state, store = numbers(), CheckpointStore(str(folder), keep=KEEP)
    found = store.resume(state, INFO)
    step = 0 if found is None else found.num_steps_done
    told.send(step)
    while True:
        step += 1
        _fill(state, step)
        _tell(told, store.save(state, INFO.at(step)))


def save_together(folder: Path, rank: int, told: Connection) -> None:
    """The same by two workers, until a save is refused; then tells why and how far it came."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    world = World(rank=rank, num_workers=2, local_rank=rank, device=torch.device("cpu"))
    state, store = numbers(), CheckpointStore(str(folder / "checkpoints"), world, keep=KEEP)
    try:
        for step in range(1, 100_000):
            _fill(state, step)
            _tell(told, store.save(state, INFO.at(step)))
    except StorageError as error:
        told.send(str(error))


def _fill(state: TrainState, step: int) -> None:
    with torch.no_grad():
        for tensor in state.tensors().values():
            tensor.fill_(step)


def _tell(told: Connection, saved: Saved | None) -> None:
    if saved is not None and not saved.error:
        told.send(saved.info.num_steps_done)
