"""Savers killed at any moment: what is found afterwards is whole, and no older than what was called whole."""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.crash.checkpointing import INFO, KEEP, numbers, save_for_ever, save_together
from training.checkpoints import CheckpointStore

pytestmark = [pytest.mark.crash, pytest.mark.early]

NUM_KILLS = 15


@pytest.fixture(scope="module")
def forked() -> Any:
    """Processes that start at once: torch is loaded before they are forked."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.crash.checkpointing"])
    return context


def last_told(told: Connection) -> Any:
    last = None
    try:
        while told.poll():
            last = told.recv()
    except EOFError:
        pass
    return last


def assert_whole(folder: Path, at_least: int) -> int:
    state = numbers()
    found = CheckpointStore(str(folder), keep=KEEP).resume(state, INFO)
    step = 0 if found is None else found.num_steps_done
    assert step >= at_least
    for name, tensor in state.tensors().items():
        assert bool((tensor == step).all()), name
    return step


def test_a_saver_killed_at_any_moment_leaves_a_whole_checkpoint(forked: Any, tmp_path: Path) -> None:
    rng = random.Random(0)
    step, num_torn = 0, 0
    for _ in range(NUM_KILLS):
        told, telling = forked.Pipe(duplex=False)
        saver = forked.Process(target=save_for_ever, args=(tmp_path, telling))
        saver.start()
        telling.close()
        assert told.poll(60) and told.recv() == step
        began = time.monotonic()
        assert told.poll(60)
        # Somewhere in the saves that follow the first, however long one takes here.
        time.sleep(rng.uniform(0, 1.5) * (time.monotonic() - began))
        saver.kill()
        saver.join()
        called_whole = last_told(told)
        num_torn += len(list(tmp_path.iterdir())) > len(CheckpointStore(str(tmp_path), keep=KEEP).kept)
        step = assert_whole(tmp_path, at_least=max(step + 1, called_whole))
        # Nothing piles up, not even from kills between the newest manifest and the removal of the oldest.
        assert len(list(tmp_path.iterdir())) <= KEEP.num_last
    # Else the moments were badly chosen, and the test has shown nothing.
    assert num_torn > NUM_KILLS // 5


def test_a_worker_that_is_killed_ends_the_others_saves_and_not_the_last_checkpoint(forked: Any, tmp_path: Path) -> None:
    pipes = [forked.Pipe(duplex=False) for _ in range(2)]
    workers = [
        forked.Process(target=save_together, args=(tmp_path, rank, telling)) for rank, (_, telling) in enumerate(pipes)
    ]
    for worker in workers:
        worker.start()
    first, second = (told for told, _ in pipes)
    for _, telling in pipes:
        telling.close()
    step = 0
    while step < 3:
        assert first.poll(60)
        step = first.recv()
    workers[1].kill()
    workers[0].join(60)
    assert workers[0].exitcode == 0
    said = last_told(first)
    assert isinstance(said, str) and "3 saves in a row have failed" in said
    whole = assert_whole(tmp_path / "checkpoints", at_least=max(step, last_told(second) or 0))
    assert f"the last whole checkpoint is of step {whole}" in said
