"""A player's move: its loss over the parts of a batch, the gradients over all workers, and the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.dropout import BatchDropout
from training.parallel import Turn, clip_gradients, reducing, replicate
from training.randomness import draw_dropout_from
from training.run import TrainRun
from training.steps.base import Batch, Moment, Player, StepLoss, TrainStep
from training.world import World

_EPSILON = 1e-7


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a worker computes at once.

    Args:
        weight: of its mean loss among all workers' parts: the mean over workers of the sums over their parts is the
            mean over the batch's rows.
        first_row: global index of the first row of the whole batch, of which this is a part.
    """

    batch: Batch
    moment: Moment
    weight: float
    first_row: int


@dataclass(frozen=True, kw_only=True)
class Moved:
    """This worker's share of a player's loss, weighted as its parts are, and the gradient norm before clipping."""

    loss: StepLoss
    gradient_norm: Tensor


class PlayerMoves:
    """The moves of one player in one world.

    Args:
        step: laid out already (`training.parallel`), so that the optimizer holds the weights as they lie.
    """

    def __init__(self, step: TrainStep, player: Player, run: TrainRun, world: World) -> None:
        self._run, self._world, self.player = run, world, player
        turn = Turn(step, player)
        self._parameters = [parameter for parameter in turn.parameters() if parameter.requires_grad]
        others = (network for name, network in step.networks.items() if name not in player.networks)
        self._others = [p for network in others for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self._parameters,
            lr=player.learning_rate,
            betas=player.betas,
            weight_decay=player.weight_decay,
            eps=_EPSILON,
        )
        replicated = world.num_workers > 1 and run.sharding == "replicated"
        self._dropouts = [module for module in step.networks.modules() if isinstance(module, BatchDropout)]
        self._turn: nn.Module = replicate(turn, player) if replicated else turn

    def make(self, parts: Sequence[Part], learning_rate_factor: float) -> Moved:
        """One move on a batch."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        with self._others_frozen():
            for index, part in enumerate(parts):
                draw_dropout_from(self._run.seed, part.first_row)
                for dropout in self._dropouts:
                    dropout.take(part.moment.places, self._run.batch_size)
                with reducing(self._turn, last=index == len(parts) - 1):
                    with torch.autocast(
                        self._world.device.type, torch.bfloat16, enabled=self._run.precision == "bfloat16"
                    ):
                        loss: StepLoss = self._turn(part.batch, part.moment)
                    (loss.total * part.weight).backward()
                losses.append((part.weight, loss))
        norm = clip_gradients(self._parameters, self._run.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.player.learning_rate * learning_rate_factor
        self.optimizer.step()
        return Moved(loss=_summed(losses), gradient_norm=norm)

    @contextmanager
    def _others_frozen(self) -> Iterator[None]:
        """Whose turn it is not gets no gradients: neither computed nor sent between workers."""
        for parameter in self._others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self._others:
                parameter.requires_grad_(True)


def _summed(losses: Sequence[tuple[float, StepLoss]]) -> StepLoss:
    terms: dict[str, Tensor] = {}
    left_out: dict[str, str] = {}
    for weight, loss in losses:
        _add(terms, loss.terms, weight)
        left_out |= loss.left_out
    total = torch.stack([loss.total.detach() * weight for weight, loss in losses]).sum()
    return StepLoss(total=total, terms=terms, left_out=left_out)


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor], weight: float) -> None:
    for name, term in terms.items():
        value = term.detach() * weight
        sums[name] = sums[name] + value if name in sums else value
