"""Somebody who looks on while a stage's loop runs."""

from __future__ import annotations

import numpy as np

from atelier.stages.watch import LoopStep


class Onlooker:
    """Keeps what it is told; ends the loop after `last` steps.

    Args:
        with_previews: asks for a preview at each step.
    """

    def __init__(self, *, last: int | None = None, with_previews: bool = False) -> None:
        self._last, self._with_previews = last, with_previews
        self.steps: list[tuple[int, int]] = []
        self.previews: list[np.ndarray] = []

    def stepped(self, step: LoopStep) -> None:
        self.steps.append((step.num_done, step.num_steps))
        if self._with_previews:
            self.previews.append(step.preview())

    def stopped(self) -> bool:
        return len(self.steps) == self._last
