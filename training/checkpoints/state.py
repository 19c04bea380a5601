"""A run's state as flat names → live tensors and plain values, whatever wraps or shards its networks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

_WRAPPERS = frozenset({"module", "_orig_mod", "_checkpoint_wrapped_module"})
"""What DDP, torch.compile and activation checkpointing put into the names of the networks they wrap."""

_OF_THE_DEVICE = frozenset({"params", "foreach", "fused", "capturable"})
"""Of an optimizer's settings: how its steps are computed here, which another device chooses for itself."""

NETWORKS, AVERAGES, OPTIMIZERS, TOTALS = "networks", "averages", "optimizers", "totals"


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Networks, their averages and their optimizers. Random numbers are functions of seed and step: none are kept.

    Names are the same under DDP, FSDP2, compilation and activation checkpointing, so that each loads what any wrote. A
    state of some parts only (the averages, to export them) loads these parts and no others.

    Args:
        networks: what is trained.
        averages: of the same structure as `networks`.
        optimizers: player → optimizer over parameters of `networks`.
        totals: player → its losses of the newest steps, oldest first, by which a loss that runs away is known; those of
            the first worker are kept, for all that take them up.
    """

    networks: nn.Module | None = None
    averages: nn.Module | None = None
    optimizers: Mapping[str, Optimizer] = field(default_factory=dict)
    totals: dict[str, deque[float]] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """The first parts of this state's names."""
        modules = ((NETWORKS, self.networks), (AVERAGES, self.averages))
        present = [name for name, module in modules if module is not None]
        return (*present, *(f"{OPTIMIZERS}/{player}" for player in self.optimizers))

    def tensors(self) -> dict[str, Tensor]:
        """Name → tensor, not copied: what is written into it is in the state at once.

        An optimizer that has made no step yet has no tensors.
        """
        found: dict[str, Tensor] = {}
        for part, module in ((NETWORKS, self.networks), (AVERAGES, self.averages)):
            if module is not None:
                found |= {f"{part}/{name}": tensor for name, tensor in _named(module)}
        names = _parameter_names(self.networks)
        for player, optimizer in self.optimizers.items():
            for parameter, entries in optimizer.state.items():
                for entry, value in entries.items():
                    if isinstance(value, Tensor):
                        found[f"{OPTIMIZERS}/{player}/{names[parameter]}/{entry}"] = value
        return found

    def values(self) -> dict[str, Any]:
        """Name → plain value: the optimizers' settings and the newest losses."""
        totals = {f"{TOTALS}/{player}": list(values) for player, values in self.totals.items()}
        return totals | {
            f"{OPTIMIZERS}/{player}/{index}/{key}": list(value) if isinstance(value, tuple) else value
            for player, optimizer in self.optimizers.items()
            for index, group in enumerate(optimizer.param_groups)
            for key, value in group.items()
            if key not in _OF_THE_DEVICE
        }

    def take(self, values: Mapping[str, Any]) -> None:
        """Sets the plain values; what this state has no place for is left alone."""
        for name, value in values.items():
            part, _, player = name.partition("/")
            if part == TOTALS:
                self.totals[player] = deque(value)
        for player, optimizer in self.optimizers.items():
            for index, group in enumerate(optimizer.param_groups):
                for key in group.keys() - _OF_THE_DEVICE:
                    name = f"{OPTIMIZERS}/{player}/{index}/{key}"
                    if name in values:
                        group[key] = tuple(values[name]) if isinstance(group[key], tuple) else values[name]

    def make_room(self, names: frozenset[str]) -> None:
        """Allocates the tensors of optimizers that have made no step, where `names` holds some for them.

        Torch does so by a step of no length, which counts as one until it is overwritten: only for a state that is
        about to be loaded, never before a save. A parameter that never had a gradient has no state there, so none here.
        """
        parameters, held = _parameter_names(self.networks), {name.rpartition("/")[0] for name in names}
        for player, optimizer in self.optimizers.items():
            prefix = f"{OPTIMIZERS}/{player}/"
            if self.networks is not None and any(name.startswith(prefix) for name in names):
                get_optimizer_state_dict(self.networks, optimizer)
                for parameter in [one for one in optimizer.state if prefix + parameters[one] not in held]:
                    del optimizer.state[parameter]

    def owned(self, rank: int, num_workers: int) -> dict[str, Tensor]:
        """The tensors that a rank writes: its own shards, and its share, by size, of what all ranks hold alike.

        So each rank copies and stores a share of a replicated state, not all of it. Buffers are the first rank's: with
        DDP only its running statistics go into the next step.
        """
        tensors = self.tensors()
        if num_workers == 1:
            return tensors
        buffers = self._buffers()
        loads = [0] * num_workers
        mine: dict[str, Tensor] = {}
        for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].nbytes, item[0])):
            if isinstance(tensor, DTensor):
                mine[name] = tensor
                continue
            owner = 0 if name in buffers else loads.index(min(loads))
            loads[owner] += tensor.nbytes
            if owner == rank:
                mine[name] = tensor
        return mine

    def _buffers(self) -> frozenset[str]:
        return frozenset(
            f"{part}/{name}"
            for part, module in ((NETWORKS, self.networks), (AVERAGES, self.averages))
            if module is not None
            for name, tensor in _named(module)
            if not isinstance(tensor, nn.Parameter)
        )


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in module.state_dict(keep_vars=True).items():
        yield _unwrapped(name), tensor


def _parameter_names(module: nn.Module | None) -> dict[Tensor, str]:
    return {} if module is None else {tensor: _unwrapped(name) for name, tensor in module.named_parameters()}


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)
