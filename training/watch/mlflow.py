"""Curves, grids and settings in MLflow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from atelier.errors import ConfigError
from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.records import step_numbers, validation_numbers

if TYPE_CHECKING:
    from mlflow import MlflowClient


_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""Of MLflow's client, where the environment sets none: by its own, a server that is away holds a step for minutes."""

_MAX_PARAMS = 100
"""That a server takes at once."""


class MLflow(Observer):
    """One MLflow run each time the run starts, in the experiment `atelier/<run>`.

    MLflow keeps every value of a step, so a run that goes on from a checkpoint gets an MLflow run of its own, tagged
    `first_step`: the values of that step and before are the earlier one's.

    A server that is away holds whoever tells it for seconds, for each thing anew.

    Args:
        uri: of the tracking server. The extra brings MLflow's client alone; a database needs all of MLflow.

    Raises:
        ConfigError: MLflow is not installed, or takes no such URI.
    """

    may_fail = True

    def __init__(self, uri: str) -> None:
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise ConfigError("mlflow: is not installed; pip install 'atelier[mlflow]'") from error
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        try:
            self._client: MlflowClient = MlflowClient(tracking_uri=uri)
        except (MlflowException, ImportError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"mlflow: {uri}: must be the address of a tracking server, e.g. http://mlflow:5000; the extra brings "
                f"MLflow's client alone, and its local stores need all of it (pip install mlflow): {first}"
            ) from error
        self._id: str | None = None
        self._facts: RunFacts | None = None

    def started(self, facts: RunFacts) -> None:
        from mlflow.entities import Param

        self._facts = facts
        name = f"atelier/{facts.run}"
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        tags = {"first_step": str(facts.first_step)}
        run = self._client.create_run(experiment_id, tags=tags, run_name=f"{facts.run} from {facts.first_step}")
        self._id = run.info.run_id
        self._client.log_dict(self._id, {"settings": dict(facts.settings)}, "settings.json")
        params = [Param(name, str(value)) for name, value in facts.settings.items()]
        for first in range(0, len(params), _MAX_PARAMS):
            self._client.log_batch(self._id, params=params[first : first + _MAX_PARAMS])

    def stepped(self, report: StepReport) -> None:
        if self._facts is not None:
            self._log(step_numbers(self._facts, report), report.step)

    def validated(self, report: ValidationReport) -> None:
        self._log(validation_numbers(report), report.step)
        if self._id is not None and report.grid is not None:
            self._client.log_artifact(self._id, str(report.grid), "validation")

    def stopped(self, step: int, reason: str) -> None:
        if self._id is not None:
            self._client.set_tag(self._id, "stopped", reason)
            self._client.set_terminated(self._id, "FINISHED" if reason == "done" else "FAILED")

    def _log(self, numbers: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        if self._id is not None:
            now = get_current_time_millis()
            self._client.log_batch(self._id, [Metric(name, value, now, step) for name, value in numbers.items()])
