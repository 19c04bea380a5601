"""Runs in an object store: taken up on another machine, and read by the next run on a third."""

from __future__ import annotations

from pathlib import Path

import pytest

from atelier import storage
from atelier.models import registry
from tests.training.loop.test_resume import Interruption
from tests.training.test_training_command import said
from training.launch.in_process import train_in_process
from training.launch.request import TrainRequest
from training.launch.train import train
from training.watch.settings import WatchSettings
from training.watch.step_log import read_steps
from training.world import World

pytestmark = pytest.mark.slow

RUNS = "tests.training.conftest"


def asked(run: str, output: str, cache: Path, *, resume: bool = False) -> TrainRequest:
    quiet = WatchSettings(quiet=True)
    return TrainRequest(
        run=f"{RUNS}:{run}_run",
        output=output,
        cache=cache,
        overrides={"num_steps": 4, "checkpoint_every_steps": 2},
        resume=resume,
        watch=quiet,
    )


def losses_in(log: Path) -> list[object]:
    return [record["losses"] for record in read_steps(log)]


def test_a_run_in_a_store_goes_on_elsewhere_and_hands_its_weights_on(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three = (tmp_path / machine for machine in ("one", "two", "three"))
    undisturbed = asked("segmentation", str(tmp_path / "undisturbed"), one)
    train_in_process(undisturbed, "cpu")

    stopped = train(asked("segmentation", s3, one), World.alone(), Interruption(2))
    assert (stopped.reason, stopped.num_steps_done) == ("SIGTERM", 3)
    # On another machine, by its command line.
    command = ["run", f"{RUNS}:segmentation_run", "--output", s3, "--cache", str(two), "--steps", "4", "--quiet"]
    status, text = said(monkeypatch, capsys, *command)
    assert (status, "add --resume to go on from there" in text) == (1, True), text
    status, text = said(monkeypatch, capsys, *command, "--resume")
    assert (status, f"checkpoint in {s3}/segmentation/checkpoints/step-00000004" in text) == (0, True), text
    log = asked("segmentation", s3, two)
    mine = two / "logs" / log.address("log").removeprefix("s3://")
    assert losses_in(mine) == losses_in(Path(undisturbed.address("log"))) and len(losses_in(mine)) == 4
    assert storage.exists(f"{s3}/segmentation/log/steps.jsonl")

    # The next run, on a third machine, fetches what the others left.
    train(asked("matching", s3, two), World.alone(), Interruption(1))
    export = ["export", f"{RUNS}:segmentation_run", "--output", s3]
    for name in ("segmentation", "matching"):
        to = ["--to", f"{s3}/{name}/weights", "--cache", str(two)]
        status, text = said(monkeypatch, capsys, "export", f"{RUNS}:{name}_run", "--output", s3, *to)
        assert (status, f"{s3}/{name}/weights: {name} after" in text) == (0, True), text
    alias = asked("alias", s3, three)
    assert train_in_process(alias, "cpu").is_done
    weights = alias.runs_folder / "segmentation" / "weights"
    assert registry.digest(str(weights)) in storage.get(f"{s3}/segmentation/weights/README.md").decode()

    # Weights that were exported anew are fetched anew; others stay.
    before, untouched = registry.digest(str(weights)), (alias.runs_folder / "matching" / "weights").stat().st_ino
    status, text = said(monkeypatch, capsys, *export, "--to", f"{s3}/segmentation/weights", "--not-averaged")
    assert status == 0, text
    alias.fetch_earlier(alias.resolved())
    assert registry.digest(str(weights)) != before
    assert (alias.runs_folder / "matching" / "weights").stat().st_ino == untouched

    storage.put(f"{s3}/photographs/one.jpg", b"a photograph")
    status, text = said(monkeypatch, capsys, *export, "--to", f"{s3}/photographs")
    assert (status, f"{s3}/photographs: holds something else than weights" in text) == (1, True), text
