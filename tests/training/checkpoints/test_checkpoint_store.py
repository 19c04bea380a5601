"""What is saved comes back bit for bit; what is kept, is kept by rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from atelier.errors import ConfigError
from tests.training.checkpoints.tiny import Tiny, assert_same, saved_at, tiny_info
from training.checkpoints import CheckpointStore, Retention, TrainState


def test_a_state_comes_back_bit_for_bit_and_trains_on_alike(tmp_path: Path) -> None:
    trained = saved_at(CheckpointStore(str(tmp_path)), 3)
    resumed = Tiny(seed=1)
    found = CheckpointStore(str(tmp_path)).resume(resumed.state, tiny_info())
    assert found is not None and found.num_steps_done == 3
    assert_same(resumed.state, trained.state)
    for tiny in (trained, resumed):
        tiny.step(3)
    assert_same(resumed.state, trained.state)


def test_a_weight_that_never_had_a_gradient_comes_back_too(tmp_path: Path) -> None:
    def with_a_spare(seed: int) -> Tiny:
        tiny = Tiny(seed=seed)
        for part in (tiny.networks, tiny.averages):
            part["painter"].register_parameter("spare", nn.Parameter(torch.full((3,), 2.0)))
        tiny.optimizers["painter"].param_groups[0]["params"].append(tiny.networks["painter"].spare)
        return tiny

    tiny, fresh = with_a_spare(0), with_a_spare(1)
    tiny.step(0)
    store = CheckpointStore(str(tmp_path))
    store.save(tiny.state, tiny_info().at(1))
    store.wait()
    assert store.resume(fresh.state, tiny_info()) is not None
    assert_same(tiny.state, fresh.state)
    for one in (tiny, fresh):
        one.step(1)
    assert_same(tiny.state, fresh.state)


def test_what_is_saved_is_the_state_at_the_call(tmp_path: Path) -> None:
    store, tiny = CheckpointStore(str(tmp_path), keep=Retention(num_last=5)), Tiny()
    before: dict[int, dict[str, torch.Tensor]] = {}
    for number in range(4):
        before[number] = tiny.copied()
        store.save(tiny.state, tiny_info().at(number))
        tiny.step(number)
    store.close()
    for number, tensors in before.items():
        loaded = Tiny(seed=1)
        CheckpointStore(str(tmp_path)).load(loaded.state, number)
        assert all(torch.equal(tensor, loaded.state.tensors()[name]) for name, tensor in tensors.items())


def test_a_save_before_the_first_step_changes_nothing(tmp_path: Path) -> None:
    kept, plain = Tiny(), Tiny()
    store = CheckpointStore(str(tmp_path))
    store.save(kept.state, tiny_info())
    store.wait()
    assert not kept.optimizers["painter"].state
    resumed = Tiny(seed=1)
    assert CheckpointStore(str(tmp_path)).resume(resumed.state, tiny_info()) is not None
    for tiny in (kept, plain, resumed):
        tiny.step(0)
    assert_same(kept.state, plain.state)
    assert_same(resumed.state, plain.state)


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    keep = Retention(num_last=2, num_best=1, metric="ssim")
    store, tiny = CheckpointStore(str(tmp_path), keep=keep), Tiny()
    for number, ssim in enumerate((0.5, 0.9, 0.6, float("nan"), 0.7)):
        store.save(tiny.state, tiny_info().at(number, {"ssim": ssim}))
    store.wait()
    assert [info.num_steps_done for info in store.kept] == [1, 3, 4]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [f"step-0000000{step}" for step in (1, 3, 4)]
    assert [info.num_steps_done for info in CheckpointStore(str(tmp_path), keep=keep).kept] == [1, 3, 4]


def test_a_smaller_value_may_be_the_better_and_the_later_of_equals_is() -> None:
    infos = [tiny_info().at(step, {"fid": fid}) for step, fid in enumerate((9.0, 4.0, 4.0, 8.0, 7.0))]
    keep = Retention(num_last=1, num_best=1, metric="fid", higher_is_better=False)
    assert [info.num_steps_done for info in keep.kept(infos)] == [2, 4]
    by_name = Retention(num_last=1, num_best=1, metric="fid")
    assert by_name.kept(infos) == keep.kept(infos), "a distance is better where it is smaller"
    by_name.refuse_unknown(["fid", "ssim"])
    with pytest.raises(ConfigError, match=r"metric: is 'fid', must be one of the validation's: \['ssim'\]"):
        by_name.refuse_unknown(["ssim"])
    with pytest.raises(ConfigError, match="metric must name"):
        Retention(num_best=1)
    with pytest.raises(ConfigError, match="at least 1"):
        Retention(num_last=0)


def test_a_step_that_was_not_judged_is_none_of_the_best() -> None:
    """Though the one before it was, and by the best there ever were."""
    judged = tiny_info().at(2, {"ssim": 0.9})
    infos = [judged, judged.at(3), judged.at(4, {"ssim": 0.5}), judged.at(5)]
    assert [dict(info.metrics) for info in infos] == [{"ssim": 0.9}, {}, {"ssim": 0.5}, {}]
    keep = Retention(num_last=1, num_best=1, metric="ssim")
    assert [info.num_steps_done for info in keep.kept(infos)] == [2, 5]


def test_a_kept_step_is_not_written_again(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path))
    tiny = saved_at(store, 2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert store.save(tiny.state, tiny_info().at(2)) is None and store.wait() is None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_how_a_save_ended_is_told_once(tmp_path: Path) -> None:
    store, tiny = CheckpointStore(str(tmp_path)), Tiny()
    assert store.poll() is None and store.wait() is None
    assert store.save(tiny.state, tiny_info().at(1)) is None
    saved = store.save(tiny.state, tiny_info().at(2))
    assert saved is not None and not saved.error and saved.info.num_steps_done == 1
    assert saved.num_bytes == sum(tensor.nbytes for tensor in tiny.copied().values())
    assert 0 < saved.blocked_s <= saved.seconds
    assert store.wait() is not None and store.poll() is None and store.wait() is None


def test_a_part_can_be_read_alone(tmp_path: Path) -> None:
    trained = saved_at(CheckpointStore(str(tmp_path), keep=Retention(num_last=3)), 1, 2)
    averages = Tiny(seed=1).averages
    assert CheckpointStore(str(tmp_path)).load(TrainState(averages=averages)).num_steps_done == 2
    for name, tensor in trained.averages.state_dict().items():
        assert torch.equal(tensor, averages.state_dict()[name])
    with pytest.raises(ConfigError, match=r"no checkpoint of step 7; there are those of \[1, 2\]"):
        CheckpointStore(str(tmp_path)).load(TrainState(averages=averages), 7)
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        CheckpointStore(str(tmp_path / "none")).load(TrainState(averages=averages))


def test_nothing_there_leaves_the_state_alone(tmp_path: Path) -> None:
    tiny = Tiny()
    before = tiny.copied()
    assert CheckpointStore(str(tmp_path)).resume(tiny.state, tiny_info()) is None
    assert CheckpointStore(str(tmp_path)).latest() is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.copied().items())
    assert not tiny.optimizers["painter"].state
