"""The measurement of the training loop runs both loops and makes its figures of what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.training import SKIPPED, Bench, Case, _ratios

pytestmark = pytest.mark.slow


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
