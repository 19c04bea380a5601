"""The stage contract: who sees which row, what a failed row carries, what an error of one row does to the others."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from atelier.errors import RowError, StageContractError
from atelier.stages.base import Faults, RowStage, TensorStage
from atelier.stages.chain import StageChain, column, new_batch

POISON = 13


class Halve(RowStage):
    """Halves even numbers; odd ones are errors."""

    name = "halve"
    reads = ("number",)
    writes = ("half", "note")

    def __init__(self, num_threads: int = 1) -> None:
        self.num_threads = num_threads
        self.threads: set[str] = set()

    def blank(self) -> dict[str, Any]:
        return {"half": np.int64(0), "note": ""}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        self.threads.add(threading.current_thread().name)
        if row["number"] % 2:
            raise RowError("odd", f"number is {row['number']}, must be even", rejected=row["number"] != 7)
        return {"half": row["number"] // 2, "note": f"half of {row['number']}"}


class Add(TensorStage):
    """Adds the batch's size, to show the shape it ran at; a poisoned row raises for the whole batch."""

    name = "add"
    device = torch.device("cpu")
    reads = ("half",)
    writes = ("total",)

    def __init__(self, how: str = "raise") -> None:
        self.how, self.runs = how, 0

    def blank(self) -> dict[str, Any]:
        return {"total": np.zeros(2, np.int64)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        self.runs += 1
        half = columns["half"]
        for row in torch.nonzero(half == POISON).flatten().tolist():
            error = RowError("poison", f"half is {POISON}")
            if self.how == "raise":
                raise error
            faults.add(row, error)
        return {"total": torch.stack([half + len(half), half], 1)}


class Tell(Add):
    """`Add` that says in words what it added: text has no tensors."""

    name = "tell"
    writes = ("total", "words")

    def blank(self) -> dict[str, Any]:
        return super().blank() | {"words": ""}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, Any]:
        words = column([f"{half} and {len(columns['half'])}" for half in columns["half"].tolist()])
        return {**super().run_tensors(columns, faults), "words": words}


def batch_of(*numbers: int) -> dict[str, np.ndarray]:
    rows = len(numbers)
    return new_batch(
        {
            "item_id": [f"item-{n}" for n in numbers],
            "variant": np.zeros(rows, np.int32),
            "task": ["count"] * rows,
            "seed": np.arange(rows),
            "number": np.array(numbers),
        }
    )


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_failed_row_carries_blanks_and_its_neighbours_go_on(num_threads: int) -> None:
    halve = Halve(num_threads)
    result = StageChain([halve, Add()], batch_size=4).run(batch_of(4, 7, 8))
    assert result["total"].tolist() == [[6, 2], [0, 0], [8, 4]]
    assert result["half"].tolist() == [2, 0, 4]
    assert result["note"].tolist() == ["half of 4", "", "half of 8"]
    assert result["error_code"].tolist() == ["", "odd", ""]
    assert result["error_stage"].tolist() == ["", "halve", ""]
    assert result["error_detail"][1] == "number is 7, must be even"
    assert result["error_rejected"].tolist() == [False, False, False]
    assert (threading.current_thread().name in halve.threads) == (num_threads == 1)


@pytest.mark.parametrize("how", ["raise", "fault"])
def test_an_error_of_one_row_is_found_by_replay_at_the_same_shape(how: str) -> None:
    add = Add(how)
    result = StageChain([Halve(), add], batch_size=4).run(batch_of(4, 2 * POISON, 8))
    assert result["total"].tolist() == [[6, 2], [0, 0], [8, 4]]
    assert result["error_code"].tolist() == ["", "poison", ""]
    assert add.runs == (4 if how == "raise" else 1)


@pytest.mark.parametrize("how", ["raise", "fault"])
def test_a_stage_of_tensors_writes_text_too(how: str) -> None:
    result = StageChain([Halve(), Tell(how)], batch_size=4).run(batch_of(4, 2 * POISON, 7, 8))
    assert result["words"].tolist() == ["2 and 4", "", "", "4 and 4"] and result["words"].dtype == object
    dead = StageChain([Halve(), Tell(how)], batch_size=4).run(batch_of(2 * POISON, 1))
    assert dead["words"].tolist() == ["", ""] and dead["words"].dtype == object
    assert dead["total"].tolist() == [[0, 0], [0, 0]]


def test_a_batch_whose_rows_all_fail_keeps_its_columns() -> None:
    result = StageChain([Halve(), Add()], batch_size=4).run(batch_of(2 * POISON, 2 * POISON))
    assert result["total"].tolist() == [[0, 0], [0, 0]] and set(result["error_code"]) == {"poison"}
    dead = StageChain([Halve(), Add()], batch_size=4).run(batch_of(1, 3))
    assert dead["total"].dtype == np.int64 and dead["total"].tolist() == [[0, 0], [0, 0]]


def test_a_kept_row_is_skipped_and_stays_fine() -> None:
    batch = batch_of(4, 5)
    batch["kept"][1] = True
    result = StageChain([Halve(), Add()], batch_size=4).run(batch)
    assert result["error_code"].tolist() == ["", ""] and result["total"].tolist() == [[6, 2], [0, 0]]


def test_every_batch_runs_at_one_shape() -> None:
    chain = StageChain([Halve(), Add()], batch_size=4)
    assert chain.run(batch_of(4))["total"][0, 0] == chain.run(batch_of(4, 6, 8, 10))["total"][0, 0] == 6


def test_keep_drops_what_nobody_reads_and_nothing_of_the_row() -> None:
    result = StageChain([Halve(), Add()], batch_size=4).run(batch_of(4), keep={"total"})
    assert set(result) == {
        *("item_id", "variant", "task", "seed", "prompt", "kept"),
        *("error_code", "error_stage", "error_detail", "error_rejected"),
        *("seconds_halve", "seconds_add", "total"),
    }


def test_columns_that_are_not_there_or_not_declared_break_the_contract() -> None:
    with pytest.raises(StageContractError, match=r"add: reads \['half'\]"):
        StageChain([Add()], batch_size=4).run(batch_of(4))

    class Lavish(Halve):
        writes = ("half",)

    with pytest.raises(StageContractError, match=r"wrote \['half', 'note'\]"):
        StageChain([Lavish()], batch_size=4).run(batch_of(4))


def test_any_other_exception_ends_the_run() -> None:
    class Broken(Halve):
        def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        StageChain([Broken(2)], batch_size=4).run(batch_of(4, 6))


def test_too_many_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 2 rows, got 3"):
        StageChain([Halve()], batch_size=2).run(batch_of(2, 4, 6))
