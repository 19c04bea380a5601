"""The measurement of the training loop runs both loops and makes its figures of what they say."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.models.pidm import pidm_closet
from benchmarks.published import PUBLISHED, drawn
from benchmarks.train_cases import SKIPPED, STRETCH, Bench, Case, Result, ratio_by_turns, ratios
from benchmarks.train_trial import TrainMeasurement, TrainTrial, measure
from benchmarks.training import main
from training import runs
from training.data.pose_transfer import SqueezedPoseTransferColumns
from training.data.sources.finding import LayoutSettings
from training.run import TrainRun
from training.steps.pidm import PidmStepConfig
from training.world import World


def tiny_pidm() -> TrainRun:
    """The published PIDM's run with a network of a few channels, on drawn rows."""
    model = replace(
        pidm_closet(), patch=1, working_size=(32, 32), width=8, multipliers=(1, 2), texture_strides=(2,), num_groups=4
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


def test_a_ratio_is_of_all_turns_but_each_rounds_first() -> None:
    one, other = (Case(name=name, settings={}) for name in ("one", "other"))

    def result(case: Case, repeat: int, stretches_s: list[float]) -> Result:
        starts = np.repeat(np.cumsum([0.0, *stretches_s]), STRETCH)[: STRETCH * len(stretches_s) + 1]
        return Result(case=case, repeat=repeat, measured=TrainMeasurement(started_s=list(starts)), others=0.0)

    found = [
        *(result(one, 0, [90.0, 1.0, 2.0]), result(other, 0, [5.0, 2.0, 4.0])),
        *(result(one, 1, [50.0, 3.0]), result(other, 1, [7.0, 3.0])),
    ]
    ratio = ratio_by_turns(found, of=one, to=other)
    assert ratio.value == pytest.approx((1 + 2 + 3) / (2 + 4 + 3))
    assert 0.5 <= ratio.low < ratio.value < ratio.high <= 1.0


@pytest.mark.long
def test_both_loops_are_run_by_turns_and_compared(tmp_path: Path) -> None:
    told: list[str] = []
    bench = Bench(tmp_path, told.append, steps=2 * STRETCH, batch_size=2, rounds=1)
    bare = Case(name="bare", settings={"system": "bare"})
    loop = Case(name="loop", settings={"system": "loop", "checkpoint_every_steps": 2})
    bench.draw()
    found = bench.by_turns(bare, loop)
    assert told == ["bare and loop by turns, round 1 of 1"]
    assert [result.case for result in found] == [bare, loop]
    assert all(len(result.measured.stretches_s(STRETCH)) == 2 and result.step_s > 0 for result in found)
    assert found[1].measured.checkpoint_bytes > 0
    ratio = ratio_by_turns(found, of=bare, to=loop)
    seconds = [result.measured.stretches_s(STRETCH)[1] for result in found]
    assert ratio.value == pytest.approx(seconds[0] / seconds[1])


@pytest.mark.long
def test_levers_are_measured_one_after_the_other(tmp_path: Path) -> None:
    told: list[str] = []
    bench = Bench(tmp_path, told.append, steps=SKIPPED + 2, batch_size=2, rounds=1)
    plain = Case(name="float32", settings={"system": "loop", "precision": "float32"})
    half = Case(name="bfloat16", settings={"system": "loop"})
    bench.draw()
    found = bench.run(plain, half)
    assert told == ["float32, round 1 of 1", "bfloat16, round 1 of 1"]
    [ratio] = ratios(found, of=plain, to=half)
    assert ratio == found[0].step_s / found[1].step_s
