"""The training loop. It knows steps, batches and optimizers, and no launcher."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from atelier.errors import ConfigError
from training.averages import WeightAverage
from training.checkpoint import Checkpoint
from training.data.batches import Batches
from training.run import TrainRun
from training.schedule import learning_rate_factor
from training.steps.base import Moment, Player, StepLoss, TrainStep

LOG_NAME = "log.jsonl"


class TrainLoop:
    """One run in this process.

    Args:
        run: all of its settings.
        folder: of this run: log and checkpoint; earlier runs lie beside it.
        cache: where drawn data is kept.
    """

    def __init__(self, run: TrainRun, folder: Path, cache: Path) -> None:
        self.run, self.folder, self.cache = run, folder, cache
        torch.manual_seed(_seed(run.seed, "weights", 0))
        self.step: TrainStep = run.step.build(folder.parent)
        self.step.networks.train()
        self.average = WeightAverage(self.step.networks, run.average_decay)
        self.optimizers = {player.name: self._optimizer(player) for player in self.step.players}
        self.num_steps_done = 0
        self._stopping = False

    @cached_property
    def batches(self) -> Batches:
        """The run's data, opened when the first step asks for it: to export weights takes none."""
        return self.run.data.batches(self.cache, seed=self.run.seed, batch_size=self.run.batch_size)

    def resume(self) -> None:
        """Takes up the folder's checkpoint.

        Raises:
            ConfigError: there is none, or it is another run's.
        """
        checkpoint = Checkpoint.read(self.folder)
        if checkpoint.run != self.run.name:
            raise ConfigError(f"{self.folder}: holds a checkpoint of {checkpoint.run}, not of {self.run.name}")
        self.step.networks.load_state_dict(checkpoint.networks)
        self.average.networks.load_state_dict(checkpoint.averages)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(checkpoint.optimizers[name])
        self.num_steps_done = checkpoint.num_steps_done

    def stop(self) -> None:
        """Ends `fit` after the step that is under way, with a checkpoint; safe in a signal handler."""
        self._stopping = True

    def fit(self, num_steps: int | None = None) -> None:
        """Steps until `num_steps` are done in all (None: the whole run), with a checkpoint now and then and at the end.

        Raises:
            ArithmeticError: a loss that is no finite number; the last checkpoint is from before it.
        """
        end = self.run.num_steps if num_steps is None else min(num_steps, self.run.num_steps)
        self.folder.mkdir(parents=True, exist_ok=True)
        logged_at = time.monotonic()
        logged_step = self.num_steps_done
        while self.num_steps_done < end and not self._stopping:
            losses = self._make_step(self.num_steps_done)
            self.num_steps_done += 1
            now = time.monotonic()
            if self.num_steps_done % self.run.log_every_steps == 0 or self.num_steps_done == end:
                rate = (self.num_steps_done - logged_step) * self.run.batch_size / (now - logged_at)
                self._log(losses, rate)
                logged_at, logged_step = now, self.num_steps_done
            if self.num_steps_done % self.run.checkpoint_every_steps == 0:
                self.keep()
        self.keep()

    def keep(self) -> None:
        """Writes the checkpoint."""
        Checkpoint(
            run=self.run.name,
            num_steps_done=self.num_steps_done,
            networks=self.step.networks.state_dict(),
            averages=self.average.networks.state_dict(),
            optimizers={name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        ).write(self.folder)

    def _make_step(self, step: int) -> Mapping[str, StepLoss]:
        batch = self.batches.at(step)
        # Dropout draws from the global generator; noise is the rows' own. All are functions of the step.
        torch.manual_seed(_seed(self.run.seed, "dropout", step))
        first = step * self.run.batch_size
        seeds = tuple(_seed(self.run.seed, "row", index) for index in range(first, first + self.run.batch_size))
        moment = Moment(progress=step / self.run.num_steps, seeds=seeds)
        factor = learning_rate_factor(
            step,
            self.run.num_steps,
            num_warmup_steps=self.run.num_warmup_steps,
            decay=self.run.decay,
            floor=self.run.decay_floor,
        )
        losses = {}
        for player in self.step.players:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.run.precision == "bfloat16"):
                loss = self.step.loss(player.name, batch, moment)
            if not math.isfinite(value := float(loss.total.detach())):
                raise ArithmeticError(f"{self.run.name}: step {step}: the loss of {player.name} is {value}")
            optimizer = self.optimizers[player.name]
            optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            for group in optimizer.param_groups:
                group["lr"] = player.learning_rate * factor
                nn.utils.clip_grad_norm_(group["params"], self.run.max_gradient_norm)
            optimizer.step()
            losses[player.name] = loss
        self.average.update(self.step.networks, step)
        return losses

    def _optimizer(self, player: Player) -> torch.optim.AdamW:
        parameters = [p for name in player.networks for p in self.step.networks[name].parameters()]
        return torch.optim.AdamW(
            parameters, lr=player.learning_rate, betas=player.betas, weight_decay=player.weight_decay, eps=1e-7
        )

    def _log(self, losses: Mapping[str, StepLoss], samples_per_s: float) -> None:
        entry = {"step": self.num_steps_done, "samples_per_s": round(samples_per_s, 2)}
        for name, loss in losses.items():
            entry[name] = {key: round(float(term.detach()), 5) for key, term in loss.terms.items()}
            if loss.left_out:
                entry[f"{name}_left_out"] = dict(loss.left_out)
        with (self.folder / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def _seed(seed: int, purpose: str, step: int) -> int:
    digest = hashlib.sha256(f"{seed}:{purpose}:{step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
