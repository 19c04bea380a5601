"""A run that runs away is stopped by a stated rule, and says with which rows."""

from __future__ import annotations

import json
import pickle
from collections import deque
from pathlib import Path

import pytest
import torch

from training.steps.base import StepLoss
from training.watch.divergence import (
    DivergedError,
    Divergence,
    DivergenceGuard,
    DivergenceRule,
    cause_of,
    record_divergence,
)

RULE = DivergenceRule(window=10, times=10.0, patience=3, end_patience=2)


def loss(total: float, **terms: float) -> StepLoss:
    return StepLoss(total=torch.tensor(total), terms={name: torch.tensor(value) for name, value in terms.items()})


def judged(guard: DivergenceGuard, totals: list[float], first: int = 1) -> Divergence | None:
    for step, total in enumerate(totals, first):
        guard.note(step, [f"row-{step}"], {"painter": loss(total)})
    return guard.judge().divergence


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_term_that_is_no_finite_number_is_named_with_its_step_and_rows(value: float) -> None:
    guard = DivergenceGuard(RULE)
    guard.note(6, ["a", "b"], {"painter": loss(1.0, pixels=1.0)})
    guard.note(7, ["c", "d"], {"critic": loss(0.5, real=0.5), "painter": loss(value, pixels=1.0, structure=value)})
    guard.note(8, ["e", "f"], {"painter": loss(value, pixels=value)})
    divergence = guard.judge().divergence
    assert divergence is not None
    assert (divergence.step, divergence.player, divergence.term) == (7, "painter", "structure")
    assert divergence.ids == ("c", "d") and divergence.limit is None and divergence.totals == (1.0,)
    assert "step 7: structure of painter" in str(divergence) and "rows c, d" in str(divergence)


def test_gradient_that_is_no_finite_number_is_found_behind_a_finite_loss() -> None:
    guard = DivergenceGuard(RULE)
    guard.note(1, ["a"], {"painter": loss(1.0)}, {"painter": torch.tensor(float("nan"))})
    divergence = guard.judge().divergence
    assert divergence is not None and divergence.term == "gradient_norm"


def test_loss_far_above_its_median_is_borne_until_patience_ends() -> None:
    guard = DivergenceGuard(RULE)
    assert judged(guard, [1.0] * 10) is None
    assert judged(guard, [50.0, 50.0, 1.0], 11) is None, "two steps are no trend, and a fall ends the count"
    divergence = judged(guard, [50.0, 60.0, 70.0, 80.0], 14)
    assert divergence is not None
    assert (divergence.step, divergence.value, divergence.limit) == (16, 70.0, 11.0)
    assert divergence.ids == ("row-16",)


def test_nothing_is_far_above_where_losses_are_as_wide_as_that() -> None:
    assert judged(DivergenceGuard(RULE), [-8.0, 8.0] * 5 + [60.0] * 5) is None, "a critic's loss swings about zero"
    assert judged(DivergenceGuard(RULE), [-8.0, 8.0] * 5 + [120.0] * 5) is not None


def test_before_the_window_is_full_only_a_hundredfold_is_far_above() -> None:
    assert judged(DivergenceGuard(RULE), [1.0] * 5 + [100.0] * 5) is None
    divergence = judged(DivergenceGuard(RULE), [32.0] + [4e7] * 8)
    assert divergence is not None
    assert (divergence.step, divergence.limit, divergence.totals) == (4, 32.0 + 100 * 32.0, (32.0,))


def test_guard_is_suspicious_while_a_loss_lies_far_above() -> None:
    guard = DivergenceGuard(RULE)
    for totals, suspicious in (([1.0] * 10, False), ([50.0], True), ([50.0], True), ([1.0], False)):
        assert judged(guard, totals) is None
        assert guard.is_suspicious is suspicious


def test_at_the_end_fewer_steps_far_above_are_enough_but_not_one() -> None:
    guard = DivergenceGuard(RULE)
    assert judged(guard, [1.0] * 10) is None and guard.at_end() is None
    assert judged(guard, [50.0], 11) is None and guard.at_end() is None
    assert judged(guard, [60.0], 12) is None
    divergence = guard.at_end()
    assert divergence is not None
    assert (divergence.step, divergence.value, divergence.limit, divergence.ids) == (12, 60.0, 11.0, ("row-12",))
    assert judged(guard, [1.0], 13) is None and guard.at_end() is None


def test_window_of_another_guard_is_gone_on_with() -> None:
    totals: dict[str, deque[float]] = {}
    judged(DivergenceGuard(RULE, totals), [float(step) for step in range(12)])
    assert list(totals["painter"]) == [float(step) for step in range(2, 12)]
    divergence = judged(DivergenceGuard(RULE, totals), [500.0] * 3, 13)
    assert divergence is not None and divergence.step == 15


def test_judgement_gives_the_newest_steps_numbers_and_reads_each_step_once() -> None:
    guard = DivergenceGuard(RULE)
    guard.note(1, [], {"painter": loss(2.0, pixels=2.0)}, {"painter": torch.tensor(0.5)})
    guard.note(2, [], {"painter": loss(1.5, pixels=1.25, structure=0.25)}, {"painter": torch.tensor(0.25)})
    newest = guard.judge()
    assert newest.losses == {"painter": {"pixels": 1.25, "structure": 0.25, "total": 1.5}}
    assert newest.gradient_norms == {"painter": 0.25}
    with pytest.raises(ValueError, match="no step was noted"):
        guard.judge()


def met(step: int, term: str, *ids: str, limit: float | None = None) -> Divergence:
    value = float("inf") if limit is None else 2 * limit
    return Divergence(step=step, player="painter", term=term, value=value, limit=limit, ids=ids, totals=())


def test_of_several_workers_those_whose_own_loss_is_bad_are_at_fault() -> None:
    norm, loss = met(3, "gradient_norm", "a", "b"), met(3, "pixels", "c", "d")
    assert cause_of([norm, loss]) == loss
    assert cause_of([norm, None, met(3, "gradient_norm", "c")]) == met(3, "gradient_norm", "a", "b", "c")
    assert cause_of([loss, norm, met(3, "pixels", "e")]) == met(3, "pixels", "c", "d", "e")
    assert cause_of([met(2, "gradient_norm", "a"), loss]) == met(2, "gradient_norm", "a"), "what came first"
    assert cause_of([met(3, "total", "a", limit=1.0), loss]) == loss
    assert cause_of([None, None]) is None


def test_record_and_error_tell_the_same(tmp_path: Path) -> None:
    divergence = Divergence(
        step=3, player="painter", term="total", value=float("nan"), limit=None, ids=("a",), totals=(1.0,)
    )
    record = json.loads(record_divergence(tmp_path / "log", divergence).read_text())
    assert record["ids"] == ["a"] and record["value"] == "nan" and record["step"] == 3
    error = pickle.loads(pickle.dumps(DivergedError("alias", divergence)))  # noqa: S301  ours, as Ray sends it
    assert error.divergence.ids == ("a",)
    assert str(error) == f"alias: {record['message']}"


def test_many_rows_are_counted_and_not_all_said() -> None:
    ids = tuple(f"row-{number}" for number in range(40))
    divergence = Divergence(step=1, player="p", term="total", value=9.0, limit=1.0, ids=ids, totals=())
    assert "row-15 and 24 more" in str(divergence) and "row-16" not in str(divergence)
