"""What passes between a Ray driver and the workers of its run, besides checkpoints."""

from __future__ import annotations

import asyncio
import io
from typing import Any

from atelier.errors import AtelierError


class Bell:
    """Between driver and workers: that the run is to stop, why it cannot go on, and what the first worker says."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._reason = ""
        self._refusal: AtelierError | None = None
        self._said: list[str] = []

    async def ring(self, reason: str) -> None:
        """Asks all workers to stop with a checkpoint."""
        self._reason = reason
        self._rung.set()

    async def rung(self) -> str:
        """Returns when somebody has asked to stop: who."""
        await self._rung.wait()
        return self._reason

    async def refuse(self, error: AtelierError) -> None:
        """Keeps an error that workers started anew would meet again."""
        self._refusal = self._refusal or error

    async def refusal(self) -> AtelierError | None:
        """The error that was kept."""
        return self._refusal

    async def say(self, text: str) -> None:
        """Takes what is for the driver's terminal."""
        self._said.append(text)

    async def said(self) -> str:
        """What was said since the last time."""
        text, self._said = "".join(self._said), []
        return text


class Terminal(io.TextIOBase):
    """Writes to the driver's terminal, from wherever the worker is."""

    def __init__(self, bell: Any) -> None:
        self._bell = bell

    def write(self, text: str, /) -> int:
        self._bell.say.remote(text)
        return len(text)
