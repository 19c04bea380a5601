"""What each of two workers does in the tests of checkpoints written together: `python -m … FOLDER RANK`.

FOLDER/rendezvous is where they meet. Asserts as it goes; the first leaves whole tensors in `<name>.safetensors` for
whoever checks what a single process makes of the checkpoints.
"""

from __future__ import annotations

import logging
import resource
import shutil
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tests.training.checkpoints.tiny import Tiny, tiny_info
from training.checkpoints import CheckpointStore, Retention, TrainState
from training.world import World

KEEP = Retention(num_last=2)


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    world = World(rank=rank, num_workers=2, local_rank=rank, device=torch.device("cpu"))
    replicated_is_written_by_both(folder, world)
    shards_take_it_up_and_are_written(folder, world)
    damage_that_one_sees_turns_both(folder, world)
    a_disk_that_is_full_for_one_is_told_to_both(folder, world)
    dist.destroy_process_group()


def replicated_is_written_by_both(folder: Path, world: World) -> None:
    tiny = Tiny()
    for name in ("painter", "critic"):
        tiny.networks[name] = DistributedDataParallel(tiny.networks[name])
    store = CheckpointStore(str(folder / "replicated"), world, keep=KEEP)
    assert store.resume(tiny.state, tiny_info()) is None
    for number in range(3):
        tiny.step(number, world.rank)
        store.save(tiny.state, tiny_info().at(number + 1))
    store.wait()
    files = sorted(path.name for path in (folder / "replicated" / "step-00000003").iterdir())
    assert files == ["index.json", "manifest.json", "rank-0-0.safetensors", "rank-1-0.safetensors"]
    leave(folder / "replicated.safetensors", tiny.state, world)


def shards_take_it_up_and_are_written(folder: Path, world: World) -> None:
    tiny = sharded()
    found = CheckpointStore(str(folder / "replicated"), world).resume(tiny.state, tiny_info())
    assert found is not None and found.num_steps_done == 3
    leave(folder / "taken_up.safetensors", tiny.state, world)
    tiny.step(3, world.rank)
    store = CheckpointStore(str(folder / "sharded"), world)
    store.save(tiny.state, tiny_info().at(4))
    tiny.step(4, world.rank)
    store.save(tiny.state, tiny_info().at(5))
    store.wait()
    leave(folder / "sharded.safetensors", tiny.state, world)


def damage_that_one_sees_turns_both(folder: Path, world: World) -> None:
    if world.is_first:
        shutil.copytree(folder / "sharded", folder / "damaged")
        path = folder / "damaged" / "step-00000005" / "rank-1-0.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    world.barrier()
    found = CheckpointStore(str(folder / "damaged"), world).resume(sharded().state, tiny_info())
    assert found is not None and found.num_steps_done == 4


def a_disk_that_is_full_for_one_is_told_to_both(folder: Path, world: World) -> None:
    store, tiny = CheckpointStore(str(folder / "replicated"), world, keep=KEEP), Tiny()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    if not world.is_first:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    store.save(tiny.state, tiny_info().at(6))
    saved = store.save(tiny.state, tiny_info().at(7))
    assert saved is not None and saved.error.startswith("rank 1: ") and "File too large" in saved.error, saved
    store.close()
    assert [info.num_steps_done for info in store.kept] == [2, 3]


def sharded() -> Tiny:
    """A state of other weights, each worker holding a part; batch norm on shards of fewer rows than workers too."""
    tiny = Tiny(seed=1)
    mesh = init_device_mesh("cpu", (2,))
    for networks in (tiny.networks, tiny.averages):
        for name in ("painter", "critic"):
            fully_shard(networks[name], mesh=mesh)
    optimizers = {name: torch.optim.AdamW(tiny.networks[name].parameters(), lr=1e-3) for name in ("painter", "critic")}
    tiny.optimizers = optimizers
    tiny.state = TrainState(networks=tiny.networks, averages=tiny.averages, optimizers=optimizers)
    return tiny


def leave(path: Path, state: TrainState, world: World) -> None:
    whole = {
        name: tensor.full_tensor() if isinstance(tensor, DTensor) else tensor.detach()
        for name, tensor in state.tensors().items()
    }
    if world.is_first:
        save_file({name: tensor.detach().clone() for name, tensor in whole.items()}, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
