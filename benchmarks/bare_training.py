"""The training loop that an engineer would write for one night: no resume, no checkpoints, a line at times."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler

from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.parsing.losses import class_weights, parsing_loss
from atelier.models.parsing.networks import ParsingNet
from benchmarks.turns import StepClock
from training.data.dataset import Sample
from training.run import TrainRun
from training.steps.parser import ParserStepConfig
from training.world import World

_LINE_EVERY = 50


def train_bare(run: TrainRun, cache: Path, world: World, clock: StepClock) -> None:
    """Trains the parser of a run on the same pictures, augmented alike; the clock hears of each step."""
    assert isinstance(run.step, ParserStepConfig)
    torch.manual_seed(run.seed)
    network = ParsingNet(run.step.model).to(world.device)
    model: nn.Module = DistributedDataParallel(network) if world.num_workers > 1 else network
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=run.step.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4, eps=1e-7
    )
    weights = class_weights(torch.tensor(run.step.pixel_shares)).to(world.device)
    batches = _endless(run, cache, world)
    for step in range(run.num_steps):
        clock.step()
        batch = {name: column.to(world.device, non_blocking=True) for name, column in next(batches).items()}
        parse = batch["parse"][:, ::2, ::2].contiguous()
        with torch.autocast(world.device.type, torch.bfloat16, enabled=run.precision == "bfloat16"):
            logits = model(picture_from_bytes(batch["person"])).float()
            loss = parsing_loss(logits, parse, class_weights=weights, dice_weight=0.3)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), run.max_gradient_norm)
        optimizer.step()
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), network.parameters(), strict=True):
                mine.lerp_(theirs, 1 - run.average_decay)
        if (step + 1) % _LINE_EVERY == 0:
            print(f"step {step + 1}: loss {float(loss):.4f}", flush=True)


class _Rows(Dataset[dict[str, Tensor]]):
    def __init__(self, run: TrainRun, cache: Path) -> None:
        self._samples, self._columns = run.data.open(None, cache), run.data.columns
        self._rng = np.random.default_rng(run.seed)

    def __len__(self) -> int:
        return self._samples.num_samples

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row: Sample = self._columns(self._samples[index], self._rng)
        return {name: torch.from_numpy(value) for name, value in row.items()}


def _endless(run: TrainRun, cache: Path, world: World) -> Iterator[dict[str, Tensor]]:
    rows = _Rows(run, cache)
    sampler: Any = RandomSampler(rows)
    if world.num_workers > 1:
        sampler = DistributedSampler(rows, num_replicas=world.num_workers, rank=world.rank)
    loader = DataLoader(rows, batch_size=run.batch_size // world.num_workers, sampler=sampler, drop_last=True)
    while True:
        yield from loader
