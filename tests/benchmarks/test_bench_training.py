"""The measurement of the training loop runs both loops and makes its figures of what they say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atelier.models.pidm import pidm_closet
from benchmarks.published import PUBLISHED, drawn
from benchmarks.train_trial import TrainTrial, measure
from benchmarks.training import SKIPPED, Bench, Case, _ratios, main
from training import runs
from training.data.pose_transfer import SqueezedPoseTransferColumns
from training.data.sources.finding import LayoutSettings
from training.run import TrainRun
from training.steps.pidm import PidmStepConfig
from training.world import World


def tiny_pidm() -> TrainRun:
    """The published PIDM's run with a network of a few channels, on drawn rows."""
    model = replace(
        pidm_closet(), working_size=(32, 32), width=8, multipliers=(1, 2), texture_strides=(2,), num_groups=4
    )
    run = runs.pidm_256()
    columns = SqueezedPoseTransferColumns(network_size=model.working_size)
    data = replace(run.data, layout=LayoutSettings(size=(32, 24)), columns=columns)
    step = PidmStepConfig(model=model)
    return drawn(replace(run, data=data, step=step, loader_workers=0), num_samples=2)


def test_runs_of_published_sizes_are_drawn_at_their_size_and_keep_their_steps() -> None:
    for name, run in PUBLISHED.items():
        made, whole = run(), runs.named(name)
        assert (made.step, made.data.columns, made.data.size) == (whole.step, whole.data.columns, whole.data.size)
        assert made.data.closet is not None and made.validation is None


def test_they_are_refused_where_no_accelerator_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for words, told in (
        (["--levers", "--run", "pidm_256"], "--run pidm_256: is of a published size and needs an accelerator"),
        (["--run", "pidm_256"], "--run: goes with --levers"),
    ):
        monkeypatch.setattr(sys, "argv", ["training", *words])
        with pytest.raises(SystemExit):
            main()
        assert told in capsys.readouterr().err


@pytest.mark.slow
def test_a_published_run_is_measured_by_batch_size(tmp_path: Path) -> None:
    run = f"{tiny_pidm.__module__}:{tiny_pidm.__name__}"
    trial = TrainTrial(
        system="loop", run=run, steps=2, batch_size=1, folder=str(tmp_path / "runs"), cache=str(tmp_path / "cache")
    )
    measured = measure(trial, World.alone())
    assert len(measured.started_s) >= 2 and measured.step_s(0) > 0


@pytest.mark.long
def test_both_loops_are_run_by_turns_and_compared_round_by_round(tmp_path: Path) -> None:
    told: list[str] = []
    bench = Bench(tmp_path, told.append, steps=SKIPPED + 2, batch_size=2, rounds=1)
    bare = Case(name="bare", settings={"system": "bare"})
    loop = Case(name="loop", settings={"system": "loop", "checkpoint_every_steps": 2})
    bench.draw()
    found = bench.run(bare, loop)
    assert told == ["bare, round 1 of 1", "loop, round 1 of 1"]
    assert [result.case for result in found] == [bare, loop]
    assert all(len(result.measured.started_s) >= SKIPPED + 2 and result.step_s > 0 for result in found)
    assert found[1].measured.checkpoint_bytes > 0
    [ratio] = _ratios(found, of=bare, to=loop)
    assert ratio == found[0].step_s / found[1].step_s
