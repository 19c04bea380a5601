"""What is written down of a run, and that each step is in it once however often the run was taken up again."""

from __future__ import annotations

import io
import json
import logging
import pickle
import urllib.request
from collections.abc import Mapping
from logging.handlers import BufferingHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from atelier import storage
from atelier.errors import ConfigError
from training.watch.console import ConsoleProgress, duration
from training.watch.gauges import Gauges
from training.watch.log_folder import LogFolder
from training.watch.memory import Memory
from training.watch.observer import LOG, Observer, Observers, RunFacts, StepReport, ValidationReport
from training.watch.peaks import Peak
from training.watch.settings import WatchSettings, watching
from training.watch.step_log import FILE_NAME, read_steps

MEMORY = Memory(resident_bytes=3 * 2**30)


def facts(first_step: int = 0) -> RunFacts:
    return RunFacts(
        run="painter",
        first_step=first_step,
        num_steps=10,
        batch_size=4,
        flops_per_step=1e6,
        num_parameters={"alias": 1_500_000},
        settings={"seed": 0},
    )


def report(step: int, value: float) -> StepReport:
    return StepReport(
        step=step,
        losses={"painter": {"pixels": value, "structure": 0.5, "total": value + 0.5}},
        left_out={"painter": {"perceptual": "no VGG weights are given"}},
        samples_per_s=40.0,
        step_s=0.1,
        waited_s=0.05,
        learning_rates={"painter": 1e-3},
        gradient_norms={"painter": 2.0},
        memory=MEMORY,
        ids=["a", "b"],
    )


def stretch(observers: Observer, first_step: int, last_step: int, value: float, reason: str | None) -> None:
    """A run from a checkpoint to where it stops, or to where it is killed."""
    observers.started(facts(first_step))
    for step in range(first_step + 1, last_step + 1):
        observers.stepped(report(step, value))
    if reason is not None:
        observers.stopped(last_step, reason)


def test_steps_that_are_made_again_are_logged_once(tmp_path: Path) -> None:
    folder = LogFolder(str(tmp_path), tmp_path / "cache")
    quiet = WatchSettings(quiet=True)
    stretch(watching(quiet, folder), 0, 7, 1.0, None)
    with (folder.path / FILE_NAME).open("a") as log:
        log.write('{"event": "step", "st')  # killed in the middle of a line
    stretch(watching(quiet, folder), 4, 10, 2.0, "done")

    steps = read_steps(folder.path)
    assert [record["step"] for record in steps] == list(range(1, 11))
    assert [record["losses"]["painter"]["pixels"] for record in steps] == [1.0] * 4 + [2.0] * 6
    lines = [json.loads(line) for line in (folder.path / FILE_NAME).read_text().splitlines()]
    assert [line["event"] for line in lines if line["event"] != "step"] == ["started", "started", "stopped"]
    assert lines[5]["num_lines_cut"] == 4
    assert lines[1]["share_of_peak"] > 0 and "measured" in lines[0]["peak"]["source"]


def test_tensorboard_shows_each_step_once_and_the_grid(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder, quiet = LogFolder(str(tmp_path), tmp_path / "cache"), WatchSettings(quiet=True)
    Image.fromarray(np.full((8, 6, 3), 200, np.uint8)).save(tmp_path / "grid.png")
    killed = watching(quiet, folder)
    stretch(killed, 0, 7, 1.0, None)
    killed.kept(7, "somewhere")  # what was flushed
    again = watching(quiet, folder)
    stretch(again, 4, 10, 2.0, None)
    again.validated(ValidationReport(step=10, metrics={"ssim": 0.75}, grid=tmp_path / "grid.png", seconds=1.0))
    again.stopped(10, "done")

    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    scalars = events.Scalars("loss/painter/pixels")
    assert [event.step for event in scalars] == list(range(1, 11))
    assert [event.value for event in scalars] == [1.0] * 4 + [2.0] * 6
    assert events.Scalars("validation/ssim")[0].value == 0.75
    assert (events.Images("validation/grid")[0].height, events.Images("validation/grid")[0].width) == (8, 6)
    assert "speed/share_of_peak" in events.Tags()["scalars"]


def test_lines_off_a_terminal_say_pace_losses_and_what_is_left_out_once(tmp_path: Path) -> None:
    out = io.StringIO()
    Image.new("RGB", (8, 8)).save(tmp_path / "grid.png")
    observers = watching(
        WatchSettings(console_every_s=0), LogFolder(str(tmp_path), tmp_path), Console(file=out, width=60)
    )
    stretch(observers, 4, 6, 1.0, None)
    observers.noticed(6, "notice that node 3f goes in 30 s")
    observers.kept(6, "runs/painter/checkpoints/step-00000006")
    observers.validated(ValidationReport(step=6, metrics={"ssim": 0.7512}, grid=tmp_path / "grid.png", seconds=2.0))
    observers.stopped(6, "asked to stop")
    lines = out.getvalue().splitlines()
    assert lines[0].startswith(
        "painter · from step 4 · to 10 · 4 samples a step · on cpu in float32 · 1.5 M parameters"
    )
    assert lines[1] == "painter goes without perceptual: no VGG weights are given"
    assert lines[2].startswith("step 5 of 10 · 0 s left · 40.0 samples/s")
    assert "50% waiting for data · 3.0 GiB · painter 1.5 (pixels 1, structure 0.5)" in lines[2]
    assert len([line for line in lines if "goes without" in line]) == 1
    assert lines[-4:-1] == [
        "step 6: notice that node 3f goes in 30 s: a checkpoint now",
        "step 6: checkpoint in runs/painter/checkpoints/step-00000006",
        f"step 6: held-out rows: ssim 0.7512 · 2.0 s · {tmp_path / 'grid.png'}",
    ]
    assert lines[-1] == "step 6: asked to stop"


@pytest.mark.parametrize(("tera", "is_told"), [({"bfloat16": 0.001, "float32": 0.066}, True), ({}, False)])
def test_processor_without_bfloat16_is_told_of(
    tera: Mapping[str, float], is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak_of(_device: torch.device, precision: str) -> Peak:
        return Peak(flops_per_s=tera.get(precision, 1.0) * 1e12, source="measured")

    monkeypatch.setattr("training.watch.shares.peak_of", peak_of)
    out = io.StringIO()
    facts = RunFacts(run="r", first_step=0, num_steps=1, batch_size=1, device="cpu", precision="bfloat16")
    ConsoleProgress(Console(file=out, width=60)).started(facts)
    assert ("66.0 times as long in bfloat16 as in" in out.getvalue()) == is_told
    assert ("--precision float32" in out.getvalue()) == is_told


def test_last_steps_line_comes_before_its_checkpoint_however_soon_after_another(tmp_path: Path) -> None:
    out = io.StringIO()
    observers = watching(
        WatchSettings(console_every_s=3600), LogFolder(str(tmp_path), tmp_path), Console(file=out, width=60)
    )
    stretch(observers, 7, 10, 1.0, None)
    observers.kept(10, "runs/painter/checkpoints/step-00000010")
    observers.stopped(10, "done")
    told = [line.split(" ·")[0] for line in out.getvalue().splitlines() if line.startswith("step")]
    assert told == [
        "step 8 of 10",
        "step 10 of 10",
        "step 10: checkpoint in runs/painter/checkpoints/step-00000010",
        "step 10: done",
    ]


def test_terminal_gets_a_live_bar_that_leaves_only_what_stays_true(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    observers = watching(WatchSettings(), LogFolder(str(tmp_path), tmp_path), console)
    stretch(observers, 0, 10, 1.0, "done")
    assert "10/10" in out.getvalue() and "100%" in out.getvalue()
    assert out.getvalue().rstrip().endswith("step 10: done")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3720, "1 h 2 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_said_in_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_gauges_are_scraped_by_name(tmp_path: Path) -> None:
    gauges = Gauges(0)
    try:
        stretch(gauges, 0, 3, 1.0, None)
        with urllib.request.urlopen(f"http://127.0.0.1:{gauges.port}/metrics") as answer:
            text = answer.read().decode()
    finally:
        gauges.stopped(3, "done")
    assert 'training_step{run="painter"} 3.0' in text
    assert 'training_number{name="loss/painter/total",run="painter"} 1.5' in text


def test_a_port_that_is_taken_is_named() -> None:
    gauges = Gauges(0)
    try:
        with pytest.raises(ConfigError, match=rf"metrics port {gauges.port}: Address already in use; name a free one"):
            Gauges(gauges.port)
    finally:
        gauges.stopped(0, "done")


class _Broken(Observer):
    may_fail = True

    def stepped(self, report: StepReport) -> None:
        raise ConnectionError("the server is away")


class _BrokenDisk(Observer):
    def stepped(self, report: StepReport) -> None:
        raise OSError("no space left")


def test_a_server_that_is_away_stops_no_run_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    heard = BufferingHandler(capacity=10)  # at the logger itself: root's handlers are any library's to change
    LOG.addHandler(heard)
    try:
        with caplog.at_level(logging.WARNING, logger=LOG.name):
            stretch(Observers([_Broken()]), 0, 5, 1.0, "done")
    finally:
        LOG.removeHandler(heard)
    assert [record.getMessage() for record in heard.buffer] == [
        "_Broken failed; the run goes on, and no more is said of this: ConnectionError: the server is away"
    ]
    with pytest.raises(OSError, match="no space left"):
        stretch(Observers([_BrokenDisk()]), 0, 1, 1.0, None)


def test_settings_cross_to_a_worker() -> None:
    settings = WatchSettings(mlflow="runs/mlflow", quiet=True)
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301  ours, as Ray sends it


def test_local_log_folder_is_the_address_itself(tmp_path: Path) -> None:
    folder = LogFolder(str(tmp_path / "log"), tmp_path / "cache")
    folder.fetch()
    folder.send()
    assert folder.path == tmp_path / "log" and folder.path.is_dir()
    assert not (tmp_path / "cache").exists()
    assert not storage.exists(str(tmp_path / "log" / FILE_NAME))


@pytest.mark.slow
def test_log_in_an_object_store_is_taken_up_on_another_machine(s3: str, tmp_path: Path) -> None:
    quiet = WatchSettings(quiet=True)
    observers = watching(quiet, LogFolder(f"{s3}/run/log", tmp_path / "one"))
    stretch(observers, 0, 4, 1.0, None)
    observers.kept(4, f"{s3}/run/checkpoints/step-00000004")
    observers.stepped(report(5, 1.0))  # never sent: the machine goes away here

    elsewhere = LogFolder(f"{s3}/run/log", tmp_path / "two")
    stretch(watching(quiet, elsewhere), 4, 6, 2.0, "done")
    assert [record["step"] for record in read_steps(elsewhere.path)] == list(range(1, 7))
    assert storage.get(f"{s3}/run/log/{FILE_NAME}") == (elsewhere.path / FILE_NAME).read_bytes()
    assert len(list((elsewhere.path / "tensorboard").iterdir())) == 2
