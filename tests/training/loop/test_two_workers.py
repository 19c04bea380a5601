"""Two workers make the steps that one would, however their networks lie; all over gloo, in one pair of processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from tests.training.loop.pair import Pair, two_workers
from tests.training.loop.tiny_runs import SIZE, losses_of, request_for, weights_of
from training.checkpoints import CheckpointStore
from training.data.order import SampleOrder
from training.launch.in_process import train_in_process
from training.launch.request import TrainRequest
from training.launch.train import TrainOutcome, open_loop, train
from training.steps.base import Batch, Moment, StepLoss
from training.supervisor import Supervisor
from training.watch.divergence import DivergedError
from training.watch.validation.looks import PoseValidation
from training.wishes import Wish
from training.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_workers(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


class StopsAt(Supervisor):
    """One worker asks to stop before a step; the other never does."""

    def __init__(self, rank: int, world: World, step: int) -> None:
        super().__init__()
        self._left = step if rank == world.rank else 1000

    def wish(self) -> Wish:
        self._left -= 1
        if self._left == -1:
            self.stop("SIGTERM")
        return super().wish()


def fit(world: World, request: TrainRequest) -> TrainOutcome:
    return train(request, world, Supervisor())


def fit_until_the_second_asks(world: World, request: TrainRequest, step: int) -> TrainOutcome:
    return train(request, world, StopsAt(1, world, step))


def trained(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without running statistics: two workers see half a batch each, and keep the mean of both."""
    return {name: tensor for name, tensor in tensors.items() if "running_" not in name and "num_batches" not in name}


def assert_equal(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert mine.keys() == theirs.keys() and mine
    for name, tensor in theirs.items():
        assert torch.equal(mine[name], tensor), name


def test_two_workers_equal_one_with_two_parts_and_each_takes_up_the_others_run(
    pair: Pair, tmp_path: Path, cache: Path
) -> None:
    alone = request_for("pose", tmp_path / "alone", cache, num_accumulated=2)
    train_in_process(alone, "cpu")

    both = request_for("pose", tmp_path / "both", cache, resume=True)
    [first, second] = pair(fit_until_the_second_asks, both, 2)
    assert first == second
    assert (first.reason, first.num_steps_done) == ("SIGTERM", 3)
    pair(fit, both)
    assert_equal(trained(weights_of(both)), trained(weights_of(alone)))

    shrunk = request_for("pose", tmp_path / "shrunk", cache, resume=True)
    pair(fit_until_the_second_asks, shrunk, 2)
    train_in_process(request_for("pose", tmp_path / "shrunk", cache, resume=True, num_accumulated=2), "cpu")
    assert_equal(trained(weights_of(shrunk)), trained(weights_of(alone)))


def test_resumed_equals_undisturbed_bit_for_bit_replicated_and_sharded(pair: Pair, tmp_path: Path, cache: Path) -> None:
    for sharding in ("replicated", "sharded"):
        undisturbed = request_for("duel", tmp_path / sharding / "undisturbed", cache, sharding=sharding)
        pair(fit, undisturbed)
        stopped = request_for("duel", tmp_path / sharding / "stopped", cache, resume=True, sharding=sharding)
        pair(fit_until_the_second_asks, stopped, 2)
        pair(fit, stopped)
        assert_equal(weights_of(stopped), weights_of(undisturbed))
        assert losses_of(stopped) == losses_of(undisturbed)


def test_sharded_networks_learn_what_replicated_ones_do(pair: Pair, tmp_path: Path, cache: Path) -> None:
    """Also from what the others left, computed twice, in two parts, and clipped hard."""
    settings = {"max_gradient_norm": 0.1, "num_accumulated": 2}
    replicated = request_for("duel", tmp_path / "replicated", cache, **settings)
    pair(fit, replicated)
    sharded = request_for(
        "duel", tmp_path / "sharded", cache, resume=True, sharding="sharded", activation_checkpointing=True, **settings
    )
    pair(fit_until_the_second_asks, sharded, 2)
    pair(fit, request_for("duel", tmp_path / "sharded", cache, resume=True, **settings))
    mine, theirs = weights_of(sharded), weights_of(replicated)
    assert mine.keys() == theirs.keys()
    # A bias that a normalisation takes away has no gradient but rounding, which Adam makes whole steps of.
    rounded = {
        name.removesuffix("/exp_avg_sq").partition("/")[2].partition("/")[2]
        for name, tensor in theirs.items()
        if name.endswith("/exp_avg_sq") and tensor.max() < 1e-8**2
    }
    assert all(name.endswith(".bias") for name in rounded)
    compared = {name: tensor for name, tensor in theirs.items() if name.partition("/")[2] not in rounded}
    assert len(compared) > 0.8 * len(theirs)
    for name, tensor in compared.items():
        torch.testing.assert_close(
            mine[name], tensor, rtol=2e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.long
@pytest.mark.parametrize("sharding", ["replicated", "sharded"])
def test_one_draws_held_out_rows_while_the_other_waits(sharding: str, pair: Pair, tmp_path: Path, cache: Path) -> None:
    plain = request_for("pose", tmp_path / "plain", cache, sharding=sharding)
    pair(fit, plain)
    validation = PoseValidation(size=SIZE, num_rows=2)
    watched = request_for(
        "pose", tmp_path / "watched", cache, sharding=sharding, validation=validation, validate_every_steps=3
    )
    pair(fit, watched)
    assert_equal(weights_of(watched), weights_of(plain))
    assert len(list(Path(watched.address("log")).glob("validation/step-*.png"))) == 3
    latest = CheckpointStore(watched.address("checkpoints")).latest()
    assert latest is not None and {"pose_pck", "joint_presence"} <= set(latest.metrics)


def layouts(world: World, request: TrainRequest) -> dict[str, bool]:
    loop = open_loop(request, world)
    loop.fit(num_steps=1)
    networks, whole = loop.layout.step.networks, loop.layout.averaged_networks()
    held = {
        "sharded": all(isinstance(parameter, DTensor) for parameter in networks.parameters()),
        "averages sharded": all(isinstance(p, DTensor) for p in loop.layout.average.networks.parameters()),
        "whole on the first": (whole is not None) == world.is_first,
        "whole": whole is None or not any(isinstance(p, DTensor) for p in whole.parameters()),
    }
    loop.close()
    return held


def test_each_worker_holds_a_part(pair: Pair, tmp_path: Path, cache: Path) -> None:
    for held in pair(layouts, request_for("duel", tmp_path, cache, sharding="sharded")):
        assert all(held.values()), held


def test_uneven_shares_weigh_as_their_rows_do(pair: Pair, tmp_path: Path, cache: Path) -> None:
    settings = {"batch_size": 5, "num_steps": 3, "max_gradient_norm": 1e9}
    one = request_for("duel", tmp_path / "one", cache, **settings)
    train_in_process(one, "cpu")
    # Their rows made ahead by processes of their own, forked from workers that talk to each other.
    both = request_for("duel", tmp_path / "both", cache, loader_workers=1, **settings)
    pair(fit, both)
    for mine, theirs in zip(losses_of(both), losses_of(one), strict=True):
        for player, terms in theirs.items():
            for term, value in terms.items():
                assert mine[player][term] == pytest.approx(value, rel=2e-3, abs=1e-4), (player, term)


def diverge(world: World, request: TrainRequest, poisoned: str) -> tuple[str, tuple[str, ...]]:
    """The second worker meets what is no number: in its loss, or in its gradients alone."""
    loop = open_loop(request, world)
    step = loop.layout.step
    loss_of = step.loss

    def loss(player: str, batch: Batch, moment: Moment) -> StepLoss:
        loss = loss_of(player, batch, moment)
        if world.is_first:
            return loss
        if poisoned == "gradient":
            loss.total.register_hook(lambda gradient: gradient * torch.nan)
            return loss
        return dataclasses.replace(loss, total=loss.total * torch.nan)

    step.loss = loss  # type: ignore[method-assign]
    try:
        loop.fit()
    except DivergedError as error:
        return error.divergence.term, error.divergence.ids
    finally:
        loop.close()
    return "", ()


def test_the_rows_of_the_worker_whose_loss_is_no_number_are_named(pair: Pair, tmp_path: Path, cache: Path) -> None:
    request = request_for("pose", tmp_path / "loss", cache)
    run = request.resolved()
    dataset = run.data.open(None, cache)
    order = SampleOrder(run.seed, dataset.num_samples)
    first_batch = tuple(dataset.ids([order.turn(index).sample for index in range(run.batch_size)]))
    for said in pair(diverge, request, "loss"):
        assert said == ("total", first_batch[2:])
    for said in pair(diverge, request_for("pose", tmp_path / "gradient", cache), "gradient"):
        assert said == ("gradient_norm", first_batch)
