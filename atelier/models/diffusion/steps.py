"""The walk that every sampler makes: from level to level, watched at each step and stopped between two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from atelier.errors import AtelierError, ConfigError
from atelier.models.diffusion.denoisers import Denoise, Estimate
from atelier.models.diffusion.schedules import Level


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that was made, for whoever watches.

    Args:
        index: from 0.
        level: that the step began at.
        reached: the level of `x`; timestep -1 after the last step.
        x: the noisy picture at `reached`.
        x0: the picture as it was estimated at `level`.
    """

    index: int
    num_steps: int
    level: Level
    reached: Level
    x: Tensor
    x0: Tensor


Callback = Callable[[Step], Tensor | None]
"""Called after every step; a tensor that it gives takes the place of `x`."""
Stop = Callable[[], bool]
"""Asked before every step; True ends the run by `SamplingStopped`."""
Update = Callable[[Tensor, Estimate, int], Tensor]
"""(x at level `index`, estimate, index) → x at the next level: what makes one sampler another."""


class SamplingStopped(AtelierError):
    """Sampling was asked to stop; there is no picture.

    Args:
        num_done: steps that were made.
        num_steps: steps that the run would have had.
    """

    def __init__(self, num_done: int, num_steps: int) -> None:
        self.num_done, self.num_steps = num_done, num_steps
        super().__init__(f"sampling was stopped after {num_done} of {num_steps} steps")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.num_done, self.num_steps)


def walk(
    denoise: Denoise,
    x: Tensor,
    levels: Sequence[Level],
    update: Update,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Tensor:
    """`x` at the last level, from `x` at the first.

    Raises:
        SamplingStopped: `stop` said so.
        ConfigError: the callback gave a tensor of another shape.
    """
    num_steps = len(levels) - 1
    for index in range(num_steps):
        if stop is not None and stop():
            raise SamplingStopped(index, num_steps)
        estimate = denoise(x, levels[index])
        x = update(x, estimate, index)
        if callback is None:
            continue
        step = Step(
            index=index, num_steps=num_steps, level=levels[index], reached=levels[index + 1], x=x, x0=estimate.x0
        )
        replaced = callback(step)
        if replaced is not None:
            if replaced.shape != x.shape:
                raise ConfigError(f"callback: gave {list(replaced.shape)}, x is {list(x.shape)}")
            x = replaced.to(x)
    return x


def in_turn(*callbacks: Callback | None) -> Callback:
    """Several callbacks as one; each sees what those before it made of `x`."""

    def call(step: Step) -> Tensor | None:
        replaced = None
        for callback in callbacks:
            given = None if callback is None else callback(step)
            if given is not None:
                replaced = given
                step = dataclasses.replace(step, x=given)
        return replaced

    return call
