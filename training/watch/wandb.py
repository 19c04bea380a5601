"""Curves and grids in Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from atelier.errors import ConfigError
from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.records import step_numbers, validation_numbers

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run


class WeightsAndBiases(Observer):
    """One W&B run each time the run starts, all in the group of the run's name.

    W&B takes no step twice, so a run that goes on from a checkpoint gets a W&B run of its own that says from where.

    Args:
        folder: where W&B writes; offline, `wandb sync` sends it from there.

    Raises:
        ConfigError: W&B is not installed.
    """

    may_fail = True

    def __init__(self, project: str, folder: Path, *, offline: bool) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ConfigError("wandb: is not installed; pip install 'atelier[wandb]'") from error
        self._wandb = wandb
        self._project, self._folder, self._offline = project, folder, offline
        self._run: Run | None = None
        self._facts: RunFacts | None = None

    def started(self, facts: RunFacts) -> None:
        self._facts = facts
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = self._wandb.init(
            project=self._project,
            group=facts.run,
            name=f"{facts.run} from {facts.first_step}",
            config={**facts.settings, "first_step": facts.first_step},
            dir=str(self._folder),
            mode="offline" if self._offline else "online",
            settings=self._wandb.Settings(silent=True),
        )

    def stepped(self, report: StepReport) -> None:
        if self._run is not None and self._facts is not None:
            self._run.log(step_numbers(self._facts, report), step=report.step)

    def validated(self, report: ValidationReport) -> None:
        if self._run is None:
            return
        self._run.log(validation_numbers(report), step=report.step)
        if report.grid is not None:
            self._run.log({"validation/grid": self._wandb.Image(str(report.grid))}, step=report.step)

    def stopped(self, step: int, reason: str) -> None:
        if self._run is not None:
            self._run.summary["stopped"] = reason
            self._run.finish(exit_code=0 if reason == "done" else 1)
