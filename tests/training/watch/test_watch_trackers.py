"""MLflow and W&B get the same curves, from the real libraries, without a network."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from atelier.errors import ConfigError
from training.watch.log_folder import LogFolder
from training.watch.observer import RunFacts, StepReport, ValidationReport
from training.watch.settings import WatchSettings, watching

FACTS = RunFacts(
    run="painter",
    first_step=2,
    num_steps=4,
    batch_size=4,
    settings={"seed": 7, "model.pose": None} | {f"width.{n}": n for n in range(150)},
)


def watched(settings: WatchSettings, folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "grid.png")
    observers = watching(settings, LogFolder(str(folder), folder / "cache"))
    observers.started(FACTS)
    for step in (3, 4):
        observers.stepped(
            StepReport(step=step, losses={"painter": {"total": 10.0 - step}}, samples_per_s=40.0, step_s=0.1)
        )
    observers.validated(ValidationReport(step=4, metrics={"ssim": 0.75}, grid=folder / "grid.png", seconds=1.0))
    observers.stopped(4, "done")


@pytest.mark.slow
def test_mlflow_has_the_curves_and_the_grid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # in place of a server
    uri = (tmp_path / "mlflow").as_uri()
    watched(WatchSettings(mlflow=uri, quiet=True), tmp_path)
    assert not caplog.records
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("atelier/painter").experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss/painter/total")
    assert [(metric.step, metric.value) for metric in history] == [(3, 7.0), (4, 6.0)]
    assert run.data.metrics["validation/ssim"] == 0.75
    assert run.data.params == {name: str(value) for name, value in FACTS.settings.items()}
    assert run.data.tags["first_step"] == "2" and run.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(run.info.run_id, "validation")] == ["validation/grid.png"]


@pytest.mark.slow
def test_wandb_offline_keeps_everything_beside_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("wandb")
    watched(WatchSettings(wandb="closet", wandb_offline=True, quiet=True), tmp_path)
    assert not caplog.records
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    (record,) = run.glob("*.wandb")
    # A process of W&B's writes it, and is not done yet when the run's own end returns.
    curves, until = (b"loss/painter/total", b"validation/ssim", b"speed/samples_per_s"), time.monotonic() + 60
    while absent := [curve for curve in curves if curve not in record.read_bytes()]:
        assert time.monotonic() < until, f"{absent} in {record.read_bytes()[:2000]!r}"
        time.sleep(0.1)
    assert list((run / "files" / "media" / "images" / "validation").iterdir())


@pytest.mark.parametrize(
    ("settings", "module"),
    [(WatchSettings(mlflow="runs", quiet=True), "mlflow"), (WatchSettings(wandb="closet", quiet=True), "wandb")],
)
def test_tracker_that_is_not_installed_is_refused_with_its_extra(
    settings: WatchSettings, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"atelier\[{module}\]"):
        watching(settings, LogFolder(str(tmp_path), tmp_path))


def test_mlflow_address_that_is_no_server_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(ConfigError, match="must be the address of a tracking server"):
        watching(WatchSettings(mlflow="nowhere://runs", quiet=True), LogFolder(str(tmp_path), tmp_path))
