"""What a step does to weights: whose turn it is, how a batch is cut, and what memory-saving may not change."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError
from tests.training.loop.tiny_runs import losses_of, request_for, weights_of
from training.dropout import BatchDropout
from training.launch.in_process import train_in_process
from training.launch.train import open_loop
from training.schedule import learning_rate_factor
from training.world import World


def test_only_the_player_whose_turn_it_is_gets_gradients(tmp_path: Path, cache: Path) -> None:
    loop = open_loop(request_for("duel", tmp_path, cache), World.alone())
    received: list[str] = []
    for name, parameter in loop.layout.step.networks.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: received.append(name))
    loop.fit(num_steps=1)

    assert set(Counter(received).values()) == {1}
    assert len(received) == len(list(loop.layout.step.networks.parameters()))
    networks = [name.partition(".")[0] for name in received]
    turns = [first for first, before in zip(networks, [None, *networks], strict=False) if first != before]
    assert turns == [network for moves in loop.layout.moves for network in moves.player.networks]
    assert all(parameter.requires_grad for parameter in loop.layout.step.networks.parameters())


@pytest.mark.slow
def test_blocks_computed_twice_change_no_bit(tmp_path: Path, cache: Path) -> None:
    """Though the networks hold power iterations that every forward pass moves."""
    plain = request_for("duel", tmp_path / "plain", cache, num_steps=3)
    twice = request_for("duel", tmp_path / "twice", cache, num_steps=3, activation_checkpointing=True)
    for request in (plain, twice):
        train_in_process(request, "cpu")
    assert losses_of(twice) == losses_of(plain)
    mine = weights_of(twice)
    for name, tensor in weights_of(plain).items():
        assert torch.equal(mine[name], tensor), name


def test_dropout_takes_its_rows_share_of_what_the_whole_batch_draws() -> None:
    dropout, rows = BatchDropout(0.4), torch.randn(6, 5, 4, 3)
    for whole in (rows, rows.to(memory_format=torch.channels_last), rows.flatten(1), rows.bfloat16()):
        torch.manual_seed(1)
        wanted = torch.nn.functional.dropout(torch.cat([whole, 2 * whole]), 0.4).unflatten(0, (2, 6))
        for places in (range(6), range(2), range(2, 3), range(3, 6)):
            part = whole[places.start : places.stop]
            dropout.take(places, 6)
            torch.manual_seed(1)
            found = dropout(torch.cat([part, 2 * part]))
            assert torch.equal(found.unflatten(0, (2, len(places))), wanted[:, places.start : places.stop])
    with pytest.raises(ValueError, match="5 rows come of a part of 3"):
        dropout(rows[:5])
    assert torch.equal(dropout.eval()(rows[:5]), rows[:5])


@pytest.mark.parametrize("num_parts", [2, 3])
def test_a_batch_meets_the_same_chances_however_it_is_cut(num_parts: int, tmp_path: Path, cache: Path) -> None:
    """To the rounding of sums: other rows dropped make 5 % of difference in the first step already."""
    whole = request_for("duel", tmp_path / "whole", cache, num_steps=2)
    parts = request_for("duel", tmp_path / "parts", cache, num_steps=2, num_accumulated=num_parts)
    for request in (whole, parts):
        train_in_process(request, "cpu")
    for mine, theirs in zip(losses_of(parts), losses_of(whole), strict=True):
        for player, terms in theirs.items():
            assert mine[player] == pytest.approx(terms, rel=2e-3, abs=1e-4), player


@pytest.mark.slow
def test_bfloat16_and_channels_last_learn_the_same_but_for_rounding(tmp_path: Path, cache: Path) -> None:
    totals = []
    for settings in ({}, {"channels_last": True}, {"precision": "bfloat16"}):
        request = request_for("duel", tmp_path / str(len(totals)), cache, num_steps=2, **settings)
        train_in_process(request, "cpu")
        totals.append(losses_of(request)[-1]["segmentation"]["total"])
        assert all(tensor.dtype != torch.bfloat16 for tensor in weights_of(request).values())
    assert totals[1] == pytest.approx(totals[0], rel=1e-3)
    assert totals[2] == pytest.approx(totals[0], rel=2e-2) and totals[2] != totals[0]


def test_averages_are_of_players_that_want_one(tmp_path: Path, cache: Path) -> None:
    loop = open_loop(request_for("duel", tmp_path, cache, average_decay=0.0), World.alone())
    loop.fit(num_steps=2)
    assert list(loop.layout.average.networks) == ["segmentation"]
    networks = loop.layout.averaged_networks()
    assert networks is not None and set(networks) == set(loop.layout.step.networks)
    for name, tensor in loop.layout.step.networks.state_dict().items():
        torch.testing.assert_close(networks.state_dict()[name], tensor, msg=name)


def test_every_worker_has_rows_and_all_rows_have_a_worker() -> None:
    for num_workers, batch_size in ((1, 1), (2, 4), (3, 8), (5, 7)):
        worlds = [
            World(rank=rank, num_workers=num_workers, local_rank=0, device=torch.device("cpu"))
            for rank in range(num_workers)
        ]
        assert [row for world in worlds for row in world.rows(batch_size)] == list(range(batch_size))
        assert all(len(world.rows(batch_size)) > 0 for world in worlds)
    with pytest.raises(ConfigError, match="batch_size: 2 rows are too few for 3 workers"):
        World(rank=0, num_workers=3, local_rank=0, device=torch.device("cpu")).rows(2)


@pytest.mark.parametrize(("decay", "last"), [("cosine", 0.02), ("linear", 0.02), ("constant", 1.0)])
def test_learning_rate_warms_up_and_decays(decay: str, last: float) -> None:
    factors = [learning_rate_factor(step, 100, num_warmup_steps=10, decay=decay) for step in range(101)]  # type: ignore[arg-type]
    assert factors[0] == pytest.approx(0.1) and max(factors) == factors[9] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(last)
    assert all(later <= earlier for earlier, later in pairwise(factors[9:]))
