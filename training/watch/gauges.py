"""What Prometheus may scrape of a training run."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from atelier.errors import ConfigError
from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.records import step_numbers, validation_numbers


class Gauges(Observer):
    """`training_step{run}`, `training_steps_planned{run}` and `training_number{run,name}`, named as the curves are.

    Args:
        port: 0 takes any free one; `port` then says which.

    Raises:
        ConfigError: the port is taken, or not this user's to take.
    """

    def __init__(self, port: int) -> None:
        registry = CollectorRegistry()
        self._step = Gauge("training_step", "Steps done", ["run"], registry=registry)
        self._planned = Gauge("training_steps_planned", "Steps of the whole run", ["run"], registry=registry)
        self._number = Gauge("training_number", "Newest value of a curve", ["run", "name"], registry=registry)
        try:
            self._server, self._thread = start_http_server(port, registry=registry)
        except OSError as error:
            raise ConfigError(f"metrics port {port}: {error.strerror}; name a free one, or 0 for any") from error
        self.port = int(self._server.server_port)
        self._facts: RunFacts | None = None

    def started(self, facts: RunFacts) -> None:
        self._facts = facts
        self._step.labels(facts.run).set(facts.first_step)
        self._planned.labels(facts.run).set(facts.num_steps)

    def stepped(self, report: StepReport) -> None:
        if self._facts is not None:
            self._step.labels(self._facts.run).set(report.step)
            self._set(step_numbers(self._facts, report))

    def validated(self, report: ValidationReport) -> None:
        self._set(validation_numbers(report))

    def stopped(self, step: int, reason: str) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _set(self, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            if self._facts is not None:
                self._number.labels(self._facts.run, name).set(value)
