"""Who watches a run, by setting."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console

from training.watch.console import ConsoleProgress
from training.watch.log_folder import LogFolder
from training.watch.observer import Observer, Observers
from training.watch.step_log import StepLog
from training.watch.tensorboard import TensorBoard


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """The console, the log for machines and TensorBoard always watch; the rest where it is named.

    Args:
        mlflow: URI of a tracking server, e.g. `http://mlflow:5000`.
        wandb: project. wandb_offline: keep everything beside the log, to be sent by `wandb sync` later.
        metrics_port: serve Prometheus gauges there.
        quiet: nothing on the console.
        console_every_s: seconds between two lines where the console is no terminal.
    """

    mlflow: str | None = None
    wandb: str | None = None
    wandb_offline: bool = False
    metrics_port: int | None = None
    quiet: bool = False
    console_every_s: float = 10.0


def watching(settings: WatchSettings, folder: LogFolder, console: Console | None = None) -> Observers:
    """The observers of a run, for its first worker; the log folder is fetched first.

    Raises:
        ConfigError: a tracker that is named and not installed; says which extra brings it.
    """
    observers: list[Observer] = []
    if not settings.quiet:
        observers.append(ConsoleProgress(console or Console(), every_s=settings.console_every_s))
    if settings.mlflow is not None:
        from training.watch.apart import Apart
        from training.watch.mlflow import MLflow

        observers.append(Apart(MLflow(settings.mlflow)))
    if settings.wandb is not None:
        from training.watch.wandb import WeightsAndBiases

        observers.append(WeightsAndBiases(settings.wandb, folder.path, offline=settings.wandb_offline))
    if settings.metrics_port is not None:
        from training.watch.gauges import Gauges

        observers.append(Gauges(settings.metrics_port))
    folder.fetch()
    # The log folder comes last: it sends what the others wrote.
    return Observers([*observers, StepLog(folder.path), TensorBoard(folder.path), folder])
