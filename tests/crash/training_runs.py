"""Training in processes of its own that may be killed, and what they left behind."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.training.loop.tiny_runs import losses_of
from training.launch.request import TrainRequest
from training.launch.train import open_loop
from training.watch.step_log import FILE_NAME
from training.world import World

ROOT = Path(__file__).parents[2]
INTERRUPTED = 130
"""Exit status of what was stopped by a signal."""
PATIENCE_S = 240


class Training:
    """`python -m training run` of one tiny run, again and again into the same output."""

    def __init__(self, run: str, output: Path, cache: Path, *arguments: str) -> None:
        self.output, self.name = output, run
        self._command = [
            *(sys.executable, "-m", "training", "run", f"tests.training.loop.tiny_runs:{run}"),
            *("--output", str(output), "--cache", str(cache), *arguments),
        ]
        self.said = output.parent / f"{output.name}.txt"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """A process of it."""
        surroundings = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"} | environment
        with self.said.open("ab") as said:
            return subprocess.Popen([*self._command, *arguments], cwd=ROOT, env=surroundings, stdout=said, stderr=said)

    def run(self, *arguments: str) -> int:
        """Runs to its end and gives the exit status."""
        process = self.start(*arguments)
        try:
            return process.wait(PATIENCE_S)
        finally:
            stop(process)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one kind, without a last one that is half written."""
        path = self.output / self.name / "log" / FILE_NAME
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def last_step(self) -> int:
        """Steps that were logged."""
        return max((record["step"] for record in self.events("step")), default=0)

    def checkpoints(self) -> list[int]:
        """Steps of whole checkpoints."""
        folders = (self.output / self.name / "checkpoints").glob("*/manifest.json")
        return sorted(int(path.parent.name.removeprefix("step-")) for path in folders)

    def wait_for(self, done: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
        """Until it is done, while the process lives."""
        until = time.monotonic() + PATIENCE_S
        while not done():
            assert process.poll() is None, f"ended before its time: {self.said.read_text()[-4000:]}"
            assert time.monotonic() < until, f"nothing happened: {self.said.read_text()[-4000:]}"
            time.sleep(0.02)


def assert_same_samples(training: Training, undisturbed: TrainRequest, num_steps: int) -> None:
    """Every step made once, of the same samples as one worker makes it of, in the same order.

    By its losses: other samples differ by 8 % in the median, the rounding of two workers by 0.4 % after 300 steps.
    """
    steps = [record["step"] for record in training.events("step")]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= num_steps
    open_loop(undisturbed, World.alone()).fit(num_steps)
    mine = [record["losses"]["segmentation"]["total"] for record in training.events("step")[:num_steps]]
    theirs = [entry["segmentation"]["total"] for entry in losses_of(undisturbed)]
    differences = [abs(one - other) / other for one, other in zip(mine, theirs, strict=True)]
    assert max(differences[:20]) < 0.01
    assert statistics.median(differences) < 0.02


def descendants(process: subprocess.Popen[bytes], part_of_command: str) -> list[psutil.Process]:
    """Processes below one whose command line has a word in it."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if part_of_command in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and all below it, if it still lives."""
    if process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait()
