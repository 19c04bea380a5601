"""A run in this very process: one worker, on its accelerator where it has one."""

from __future__ import annotations

import torch

from training.launch.holding import holding
from training.launch.request import TrainRequest
from training.launch.train import TrainOutcome, train
from training.supervisor import Supervisor, stopping_on_signals
from training.world import World


def train_in_process(request: TrainRequest, device: torch.device | str | None = None) -> TrainOutcome:
    """Trains here; SIGTERM and SIGINT end it with a checkpoint.

    Args:
        device: None takes the first accelerator, else the CPU.

    Raises:
        AtelierError: as `train`; or checkpoints are there, and nobody asked to go on from them; or
            another process trains there.
    """
    request.refuse_overwriting()
    if device is None:
        device = "cuda:0" if torch.cuda.is_available() else "cpu"
    supervisor = Supervisor()
    with holding(request.folder, supervisor.stop), stopping_on_signals(supervisor):
        return train(request, World.alone(device), supervisor)
