"""A model as the ingress sees it, wherever it runs."""

from __future__ import annotations

from typing import Protocol

from atelier.errors import AtelierError
from serving.models.asked import Answer, Ask, ModelCard
from serving.models.family import ModelFamily
from serving.models.watching import Told


class ModelUnavailable(AtelierError):
    """No replica of a model answers now."""


class ModelDied(ModelUnavailable):
    """The replica went away that had the ask in hand: perhaps on account of it."""


class Model(Protocol):
    """Makes pictures; cancelling a call takes it out of the model's queue, or stops what only it waits for."""

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        """What came of an ask.

        Args:
            told: called in the event loop with the ask's progress, though not at every step.

        Raises:
            ModelUnavailable: nobody is there to ask; `ModelDied` where somebody was.
        """
        ...

    async def card(self) -> ModelCard:
        """What the model is.

        Raises:
            ModelUnavailable: nobody is there to ask.
        """
        ...


class LocalModel:
    """A model in this very process and event loop: for tests, and for a service without Ray."""

    def __init__(self, family: ModelFamily) -> None:
        self._family = family

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        return await self._family.make(ask, told)

    async def card(self) -> ModelCard:
        return self._family.card()
