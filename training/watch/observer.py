"""What a training loop tells those who watch it. Only the first worker has observers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from training.watch.memory import Memory
from training.watch.peaks import Precision

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known before the first step.

    Args:
        run: its name.
        first_step: steps done before: 0, or where a checkpoint was taken up. What was logged after it is void.
        num_steps: of the whole run.
        batch_size: samples a step, over all workers.
        device: as torch writes it, e.g. `cuda:0`.
        precision: of the networks' arithmetic.
        flops_per_step: floating-point operations of one worker's share of a step; None where they were not counted.
            A report's own count goes before it.
        num_parameters: trained parameters by network.
        settings: all of the run's, as plain values that JSON can hold.
    """

    run: str
    first_step: int
    num_steps: int
    batch_size: int
    num_workers: int = 1
    device: str = "cpu"
    precision: Precision = "float32"
    flops_per_step: float | None = None
    num_parameters: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """A step whose numbers were read from the device.

    Args:
        step: steps done with it, from 1.
        losses: player → term → value; a player's total is the term `total`.
        left_out: player → term → why it could not be had.
        samples_per_s: over all workers, since the report before.
        step_s: mean seconds a step since the report before.
        waited_s: of them, the mean seconds that the loop waited for data.
        pauses_left_s: what validations and checkpoints will take until the run's end; they are no part of `step_s`.
        learning_rates, gradient_norms: by player; norms are those before clipping.
        flops_per_step: where a step does not always do the same work, e.g. at half the size at first.
        ids: the step's row ids of this worker.
    """

    step: int
    losses: Mapping[str, Mapping[str, float]]
    samples_per_s: float
    step_s: float
    waited_s: float = 0.0
    pauses_left_s: float = 0.0
    left_out: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    flops_per_step: float | None = None
    ids: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """Fixed held-out rows, drawn by the inference stages with the averaged weights.

    Args:
        metrics: name → value; what is better, each metric's name says in `training.watch.validation`.
        grid: the picture that shows the rows side by side.
    """

    step: int
    metrics: Mapping[str, float]
    grid: Path | None
    seconds: float


class Observer:
    """Watches a run; overrides what it wants to hear of. Calls come in the loop's thread and should be short.

    `may_fail`: a failure is reported once a kind and the run goes on, e.g. where a server far away is asked.
    """

    may_fail: ClassVar[bool] = False

    def started(self, facts: RunFacts) -> None:
        """Before the first step, new or taken up again."""

    def stepped(self, report: StepReport) -> None:
        """After a step at which numbers were read."""

    def noticed(self, step: int, reason: str) -> None:
        """A checkpoint is made out of turn, before the next step: a part of the run is about to be taken away."""

    def kept(self, step: int, address: str) -> None:
        """A checkpoint is whole at `address`."""

    def validated(self, report: ValidationReport) -> None:
        """Held-out rows were drawn."""

    def stopped(self, step: int, reason: str) -> None:
        """The last call: `done`, who asked, or the error's words."""


class Observers(Observer):
    """Several observers as one, told in their order."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._failures: set[tuple[str, str]] = set()

    def started(self, facts: RunFacts) -> None:
        self._tell("started", facts)

    def stepped(self, report: StepReport) -> None:
        self._tell("stepped", report)

    def noticed(self, step: int, reason: str) -> None:
        self._tell("noticed", step, reason)

    def kept(self, step: int, address: str) -> None:
        self._tell("kept", step, address)

    def validated(self, report: ValidationReport) -> None:
        self._tell("validated", report)

    def stopped(self, step: int, reason: str) -> None:
        self._tell("stopped", step, reason)

    def _tell(self, what: str, *values: Any) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(*values)
            except Exception as error:
                if not observer.may_fail:
                    raise
                kind = (type(observer).__name__, type(error).__name__)
                if kind not in self._failures:
                    self._failures.add(kind)
                    LOG.warning("%s failed; the run goes on, and no more is said of this: %s: %s", *kind, error)
