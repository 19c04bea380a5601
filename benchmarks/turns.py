"""Two programs by turns on one machine, a few steps each: while one works, the other stands still.

A machine that others use, or whose clock drifts, is fast in one minute and slow in the next, by more than what two
programs differ in. Runs of a minute each, one after the other, are then held against two machines; stretches of a
second are held against one.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from benchmarks.footprint import Footprint, start, watch

_DONE, _GO = "stretch-done", "stretch-go"
_LOOK_S = 0.2


class StepClock:
    """When each step began.

    Args:
        folder: of a program that takes turns; None for one that runs by itself.
        stretch: steps a turn. The clock stands still while another program has its turn.
    """

    def __init__(self, folder: Path | None = None, stretch: int = 1) -> None:
        self.started_s: list[float] = []
        self._stretch, self._waited_s = stretch, 0.0
        self._pipes = None if folder is None else (_opened(folder / _DONE), _opened(folder / _GO))

    def step(self) -> None:
        """A step begins; at the end of a stretch it comes back when it is this program's turn again."""
        now = time.monotonic()
        self.started_s.append(now - self._waited_s)
        if self._pipes is not None and (len(self.started_s) - 1) % self._stretch == 0:
            done, go = self._pipes
            os.write(done, b".")
            os.read(go, 1)
            self._waited_s += time.monotonic() - now


class Player:
    """A program with a `StepClock` in this folder, and all that it starts.

    Args:
        folder: its own, where the pipes are made.
        said: file of all that it prints.
    """

    def __init__(self, command: Sequence[str], folder: Path, said: Path) -> None:
        for name in (_DONE, _GO):
            os.mkfifo(folder / name)
        self._done, self._go = (_opened(folder / name) for name in (_DONE, _GO))
        self._said = said
        with said.open("wb") as out:
            self.process = start(command, out)

    def until_stretch_ends(self) -> None:
        """Waits for the end of the stretch that it is in, and lets it stand.

        Raises:
            RuntimeError: it ended instead; the message ends with what it said.
        """
        while not select.select([self._done], [], [], _LOOK_S)[0]:
            if self.process.poll() is not None:
                raise self._ended("within its turn")
        os.read(self._done, 1)
        for member in self._members():
            member.suspend()

    def go_on(self) -> None:
        """Its turn."""
        for member in self._members():
            member.resume()
        os.write(self._go, b".")

    def until_it_ends(self) -> None:
        """Waits for what comes after its last stretch.

        Raises:
            RuntimeError: it failed there; the message ends with what it said.
        """
        if self.process.wait():
            raise self._ended("after its last turn")

    def close(self) -> None:
        """Ends it, wherever it is."""
        for member in self._members():
            member.kill()
        self.process.wait()
        os.close(self._done)
        os.close(self._go)

    def _ended(self, where: str) -> RuntimeError:
        words = self._said.read_text(errors="replace")
        return RuntimeError(f"ended by {self.process.returncode} {where}:\n{words[-4000:]}")

    def _members(self) -> list[psutil.Process]:
        if self.process.poll() is not None:
            return []
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]


def by_turns(players: Sequence[Player], num_stretches: int) -> Footprint:
    """Lets programs take turns until all have ended; the order is reversed every second turn.

    Args:
        num_stretches: each takes this many and one step more, which ends the last.

    Returns:
        Of all together; `others` is what none of them took.

    Raises:
        RuntimeError: one of them failed; all others are ended.
    """
    with ThreadPoolExecutor(1) as pool:
        footprint = pool.submit(watch, *(player.process for player in players))
        try:
            for player in players:
                player.until_stretch_ends()  # the one before its first step
            for turn in range(num_stretches):
                for player in players if turn % 2 == 0 else reversed(players):
                    player.go_on()
                    player.until_stretch_ends()
            for player in players:
                player.go_on()
                player.until_it_ends()
        finally:
            for player in players:
                player.close()
    return footprint.result()


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR)  # for both ends: opening waits for no reader, and a reader sees no end
