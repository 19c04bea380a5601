"""Another run's, data set's or model's checkpoint is refused, and the error lists what differs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError
from tests.training.checkpoints.tiny import Tiny, TinyModel, TinyRun, saved_at, tiny_info
from training.checkpoints import CheckpointInfo, CheckpointStore, settings_of
from training.runs import RUNS, named


def test_another_runs_is_refused(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1)
    with pytest.raises(ConfigError, match=r"another run's .*\n  run: the checkpoint has 'tiny', this run is 'other'"):
        CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info(TinyRun(name="other")))


def test_every_setting_that_differs_is_listed(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1)
    other = TinyRun(model=TinyModel(kernels=(3,)), learning_rate=2e-3, log_every_steps=9)
    with pytest.raises(ConfigError) as refused:
        CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info(other, data="d2"))
    assert str(refused.value).splitlines()[1:] == [
        "  learning_rate: the checkpoint has 0.001, this run 0.002",
        "  model.kernels.1: the checkpoint has 1, this run 'none'",
        "  model.kernels.count: the checkpoint has 2, this run 1",
        "  data: the checkpoint's data set has the digest d1, this run's d2",
    ]


def test_what_decides_no_weight_may_differ_and_so_may_what_is_named(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1)
    store = CheckpointStore(str(tmp_path))
    assert store.resume(Tiny().state, tiny_info(TinyRun(log_every_steps=9))) is not None
    changed = tiny_info(TinyRun(learning_rate=2e-3, model=TinyModel(kernels=(3,))))
    assert store.resume(Tiny().state, changed, changed=("learning_rate", "model")) is not None


def test_another_models_tensors_are_listed(tmp_path: Path) -> None:
    tiny = saved_at(CheckpointStore(str(tmp_path)), 1)
    wider = Tiny(width=9)
    before = wider.copied()
    with pytest.raises(
        ConfigError, match=r"of another model:\n  of another shape .*painter.0.weight is float32 \[8, 3, 3, 3\]"
    ):
        CheckpointStore(str(tmp_path)).resume(wider.state, tiny_info())
    after = wider.copied()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    tiny.networks["scribe"] = torch.nn.Linear(2, 2)
    del tiny.networks["critic"]
    with pytest.raises(ConfigError) as refused:
        CheckpointStore(str(tmp_path)).load(dataclasses.replace(tiny.state, optimizers={}))
    assert "missing in it (2): networks/scribe.bias, networks/scribe.weight" in str(refused.value)
    assert "unexpected in it (2): networks/critic.bias, networks/critic.weight" in str(refused.value)


@pytest.mark.parametrize("name", sorted(RUNS))
def test_every_named_run_can_be_compared(name: str) -> None:
    run = named(name)
    settings = settings_of(run)
    assert settings["step"] == type(run.step).__name__ and settings["seed"] == run.seed
    info = CheckpointInfo.start(run, data="d", num_workers=2)
    assert info.fingerprint == CheckpointInfo.start(named(name), data="other", num_workers=1).fingerprint
    other = CheckpointInfo.start(dataclasses.replace(run, seed=run.seed + 1), data="d", num_workers=2)
    assert info.fingerprint != other.fingerprint


def test_a_setting_that_cannot_be_compared_is_named() -> None:
    with pytest.raises(TypeError, match="learning_rate: a generator cannot be compared"):
        settings_of(TinyRun(learning_rate=(number for number in ())))  # type: ignore[arg-type]
