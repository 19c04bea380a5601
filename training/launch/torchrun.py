"""A run under torchrun: one process a worker, on this machine or on many, started again when one of them is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType

import psutil
import torch
import torch.distributed as dist

from atelier.errors import ConfigError
from training.launch.holding import holding
from training.launch.request import TrainRequest
from training.launch.train import TrainOutcome, train
from training.supervisor import Supervisor, heard, stopping_on_signals
from training.world import World

COLLECTIVE_TIMEOUT = timedelta(hours=1)
"""The first worker validates while the others wait for it in a collective; torch's 10 minutes can be too few."""

_RUN_ID = "TORCHELASTIC_RUN_ID"
_FRESH_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Set to 1, workers that are started anew meet in a new store. Without it torch 2.13 lets them find the addresses of
those before them, and they fail to connect at every restart."""


def is_torchrun_worker() -> bool:
    """Whether torchrun started this process."""
    return _RUN_ID in os.environ


def backend_for(device: torch.device) -> str:
    """The process group's: gloo besides an accelerator's own, for objects and for asynchronous checkpoints."""
    return "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"


def train_under_torchrun(request: TrainRequest) -> TrainOutcome:
    """Trains as the worker that torchrun's environment says; a SIGTERM to any worker ends all with a checkpoint.

    Raises:
        AtelierError: as `train`; or checkpoints are there at the first start, and nobody asked to go on from them; or
            another process trains there; or torchrun could not start workers anew.
    """
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        request.refuse_overwriting()
        if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and os.environ.get(_FRESH_STORE) != "1":
            raise ConfigError(f"torchrun: --max-restarts works only with {_FRESH_STORE}=1 in its environment; set it")
    rank, num_workers, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    world = World(rank=rank, num_workers=num_workers, local_rank=local_rank, device=device)
    supervisor = Supervisor()
    with (
        holding(request.folder, supervisor.stop) if rank == 0 else nullcontext(),
        stopping_on_signals(supervisor, tell=False),
    ):
        dist.init_process_group(backend_for(device), timeout=COLLECTIVE_TIMEOUT)
        outcome = train(request, world, supervisor)
        # Not in a `finally`: with a worker lost, this would wait for it.
        dist.destroy_process_group()
    return outcome


def end_torchrun() -> None:
    """Ends the torchrun that started this worker, where it would start workers anew: it does so whatever ended them.

    On many nodes each worker ends its own node's. Call it when all is said: its workers are then asked to end, this one
    too.
    """
    if os.environ["TORCHELASTIC_RESTART_COUNT"] == os.environ["TORCHELASTIC_MAX_RESTARTS"]:
        return
    # Not simply the parent: a person's torchrun may start a script that starts this.
    agent = next(process for process in psutil.Process().parents() if _RUN_ID not in process.environ())
    with suppress(FileExistsError):
        # Other workers of its may come here too, and a second signal would have it leave some behind. The folder is
        # this attempt's, and goes with it.
        if report := os.environ["TORCHELASTIC_ERROR_FILE"]:
            (Path(report).parents[1] / "ended").touch(exist_ok=False)
        agent.terminate()


def start_torchrun(arguments: Sequence[str], *, num_workers: int, max_restarts: int) -> int:
    """Starts `python -m training` with these arguments on so many workers of this machine; gives its exit status.

    SIGTERM and SIGINT reach each worker once: sent to torchrun, it would kill those that take long to write.
    """
    command = [sys.executable, "-m", "training.launch.agent", "--standalone", "--nproc-per-node", str(num_workers)]
    command += ["--max-restarts", str(max_restarts), "-m", "training", *arguments]
    # A session of its own: a Ctrl-C would otherwise reach torchrun and the workers besides.
    agent = subprocess.Popen(command, start_new_session=True, env=os.environ | {_FRESH_STORE: "1"})
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            agent.send_signal(number)
        else:
            os.write(2, heard(signal.Signals(number).name).encode())
        stopped = True
        for worker in psutil.Process(agent.pid).children():
            worker.terminate()

    before = {int(number): signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return agent.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
