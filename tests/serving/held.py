"""A denoiser that waits: what happens between two of its calls is up to a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from atelier import poses
from serving.models.family import ModelFamily
from serving.models.samples import drawn_person
from tests.serving.conftest import until

INPUTS = {"person": drawn_person(1, (128, 96)), "pose": poses.read(poses.address("standing"), "pose")}
STEPS = 10
"""Of the family `stepping`."""


class Held:
    """Calls of a family's denoiser, counted; those of the numbers `at` wait until each is let."""

    def __init__(self, *at: int) -> None:
        self.calls = 0
        self._gates = {number: threading.Event() for number in at}

    def __call__(self, *_: Any) -> None:
        self.calls += 1
        if self.calls in self._gates:
            assert self._gates[self.calls].wait(60)

    async def reached(self, number: int) -> None:
        async def look() -> bool:
            return self.calls == number

        await until(look)

    def let(self, *numbers: int) -> None:
        for number in numbers or self._gates:
            self._gates[number].set()


@contextmanager
def held(family: ModelFamily, *at: int) -> Iterator[Held]:
    """Its denoiser waits before its calls of these numbers."""
    stage = family._engine._stages[-1]
    unet: torch.nn.Module = stage._model.unet  # pyright: ignore[reportAttributeAccessIssue]
    one = Held(*at)
    with unet.register_forward_pre_hook(one):
        try:
            yield one
        finally:
            one.let()
