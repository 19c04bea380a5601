"""A run that was stopped anywhere goes on as if it had not been."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError
from tests.training.loop.tiny_runs import losses_of, request_for, weights_of
from training.checkpoints import Retention
from training.launch.in_process import train_in_process
from training.launch.train import open_loop, train
from training.supervisor import Supervisor
from training.watch.divergence import DivergedError
from training.watch.step_log import FILE_NAME
from training.wishes import Wish
from training.world import World


class Interruption(Supervisor):
    """Asks to stop while a step is under way."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def wish(self) -> Wish:
        self._left -= 1
        if self._left < 0:
            self.stop("SIGTERM")
        return super().wish()


@pytest.mark.parametrize(("name", "stops"), [pytest.param("pose", [1, 4], marks=pytest.mark.slow), ("duel", [3])])
def test_resumed_equals_undisturbed_bit_for_bit(name: str, stops: list[int], tmp_path: Path, cache: Path) -> None:
    undisturbed = request_for(name, tmp_path / "undisturbed", cache)
    assert train_in_process(undisturbed, "cpu").is_done
    stopped = request_for(name, tmp_path / "stopped", cache, resume=True)
    for before, after in zip([0, *stops], stops, strict=False):
        outcome = train(stopped, World.alone(), Interruption(after - before - 1))
        assert (outcome.reason, outcome.num_steps_done) == ("SIGTERM", after)
    assert train_in_process(stopped, "cpu").is_done

    assert losses_of(stopped) == losses_of(undisturbed)
    assert len(losses_of(stopped)) == undisturbed.resolved().num_steps
    mine, theirs = weights_of(stopped), weights_of(undisturbed)
    assert mine.keys() == theirs.keys() and len(mine) > 20
    for key, value in theirs.items():
        assert torch.equal(mine[key], value), key


class Notice(Supervisor):
    """News to look at before the second step: a node goes."""

    def __init__(self) -> None:
        super().__init__()
        self._wishes = iter([Wish.GO_ON, Wish.LOOK])

    def wish(self) -> Wish:
        return next(self._wishes, Wish.GO_ON)

    def look(self) -> Wish:
        return Wish.KEEP

    @property
    def notice(self) -> str:
        return "a node goes"


def test_a_notice_is_said_and_kept_out_of_turn(tmp_path: Path, cache: Path) -> None:
    request = request_for("pose", tmp_path, cache, checkpoint_every_steps=1000)
    assert train(request, World.alone(), Notice()).is_done
    lines = [json.loads(line) for line in (tmp_path / "pose" / "log" / FILE_NAME).read_text().splitlines()]
    told = [(line["event"], line["step"]) for line in lines if line["event"] in ("noticed", "kept")]
    assert told == [("noticed", 2), ("kept", 2), ("kept", request.resolved().num_steps)]
    assert next(line["reason"] for line in lines if line["event"] == "noticed") == "a node goes"


def test_a_run_never_overwrites_another_unasked(tmp_path: Path, cache: Path) -> None:
    request = request_for("pose", tmp_path, cache, num_steps=1)
    train_in_process(request, "cpu")
    with pytest.raises(ConfigError, match="holds checkpoints up to step 1; add --resume"):
        train_in_process(request, "cpu")
    with pytest.raises(ConfigError, match="num_steps: the checkpoint has 1, this run 6"):
        train_in_process(request_for("pose", tmp_path, cache, resume=True), "cpu")
    assert train_in_process(request_for("pose", tmp_path, cache, resume=True, num_steps=2), "cpu").num_steps_done == 2
    with pytest.raises(ConfigError, match=r"num_steps \(--steps\): is 1, and its checkpoint is at step 2 already"):
        train_in_process(request_for("pose", tmp_path, cache, resume=True, num_steps=1), "cpu")
    with pytest.raises(ConfigError, match=r"learning_rate.*no such field"):
        train_in_process(request_for("pose", tmp_path, cache, learning_rate=1.0), "cpu")


def test_a_loss_that_is_no_number_ends_the_run_and_names_its_rows(tmp_path: Path, cache: Path) -> None:
    request = request_for("pose", tmp_path, cache, log_every_steps=6)
    loop = open_loop(request, World.alone())
    poisoned = dataclasses.replace(request, resume=True)
    loop.fit(num_steps=2)
    loop = open_loop(poisoned, World.alone())
    parameter = next(loop.layout.step.networks.parameters())
    parameter.register_hook(lambda gradient: gradient * torch.nan)
    # Told of before the checkpoint of step 4, though it was step 3 and numbers are read with step 6 only.
    with pytest.raises(DivergedError, match=r"step 3: gradient_norm of pose is nan, no finite number; rows "):
        loop.fit()
    assert [info.num_steps_done for info in loop.store.kept] == [2]
    assert (tmp_path / "pose/log/divergence.json").is_file()


def test_loss_that_runs_away_leaves_checkpoints_of_before_and_ends_a_resumed_run_too(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = request_for("runaway", tmp_path, cache)
    with pytest.raises(DivergedError, match=r"^runaway: step 64: total of pose is .* above"):
        train_in_process(request, "cpu")
    checkpoints = Path(request.address("checkpoints"))
    assert sorted(folder.name for folder in checkpoints.iterdir()) == ["step-00000005", "step-00000010"]
    assert [record.getMessage()[:22] for record in caplog.records if "no checkpoint:" in record.getMessage()] == [
        "step 15: no checkpoint"
    ]
    with pytest.raises(DivergedError, match=r"^runaway: step 64: "):
        train_in_process(dataclasses.replace(request, resume=True), "cpu")


def test_run_that_ends_while_its_loss_is_away_is_not_done(tmp_path: Path, cache: Path) -> None:
    request = request_for("away_at_the_end", tmp_path, cache)
    with pytest.raises(DivergedError, match=r"^away_at_the_end: step 30: total of pose is .* above"):
        train_in_process(request, "cpu")
    folders = Path(request.address("checkpoints")).iterdir()
    assert sorted(folder.name for folder in folders) == ["step-00000005", "step-00000010"]


def test_outlier_only_puts_a_checkpoint_off(tmp_path: Path, cache: Path) -> None:
    request = request_for("outlier", tmp_path, cache, keep=Retention(num_last=9))
    assert train_in_process(request, "cpu").is_done
    folders = Path(request.address("checkpoints")).iterdir()
    assert sorted(int(folder.name.removeprefix("step-")) for folder in folders) == [5, 10, 17, 20]


def test_stop_while_a_loss_is_far_above_goes_on_from_the_checkpoint_before(tmp_path: Path, cache: Path) -> None:
    request = request_for("runaway", tmp_path, cache)
    outcome = train(request, World.alone(), Interruption(18))
    assert (outcome.reason, outcome.num_steps_done) == ("SIGTERM", 19)
    assert outcome.checkpoint.endswith("/step-00000010")
