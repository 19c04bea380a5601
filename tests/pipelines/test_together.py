"""Partitions at once where they fit, and their outcomes as one stream."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from pipelines.placement import Machine, Placement, Pool
from pipelines.together import merged, waves
from tests.pipelines.toys import toy_recipe


def placement(num_cpus: int, num_gpus: float = 0.0) -> Placement:
    recipe = toy_recipe()
    pool = Pool(stages=recipe.stages, keep=(), num_workers=num_cpus, num_gpus=num_gpus / num_cpus)
    return Placement(recipe=recipe, pools=(pool,))


@pytest.mark.parametrize(
    ("needs", "machine", "expected"),
    [
        ([(2, 0), (2, 0), (2, 0)], Machine(num_cpus=4), [[0], [1], [2]]),
        ([(2, 0), (2, 0), (2, 0)], Machine(num_cpus=8), [[0, 1], [2]]),
        ([(2, 0), (2, 0), (2, 0)], Machine(num_cpus=12), [[0, 1, 2]]),
        ([(2, 1), (2, 1)], Machine(num_cpus=64, num_gpus=1), [[0], [1]]),
        ([(2, 1), (2, 0), (2, 1)], Machine(num_cpus=64, num_gpus=1), [[0, 1], [2]]),
        ([], Machine(num_cpus=4), []),
    ],
)
def test_as_many_run_at_once_as_fit(needs: list, machine: Machine, expected: list) -> None:
    # A pool's own CPUs, and two more for reading.
    assert waves([placement(*need) for need in needs], machine) == expected


def test_all_that_is_given_arrives_while_others_wait() -> None:
    first_came = threading.Event()

    def first() -> Iterator[int]:
        yield 1
        first_came.set()

    def second() -> Iterator[int]:
        assert first_came.wait(30)  # one after another it would wait in vain
        yield from (2, 3)

    assert sorted(merged([second, first])) == [1, 2, 3]


def test_one_source_runs_where_it_is_asked_for() -> None:
    assert list(merged([lambda: iter([threading.current_thread()])])) == [threading.main_thread()]


def test_an_error_is_raised_and_closes_the_others() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            yield from count()
        finally:
            closed.set()

    def broken() -> Iterator[int]:
        yield -1
        raise ArithmeticError("of this source")

    with pytest.raises(ArithmeticError, match="of this source"):
        for _ in merged([endless, broken]):
            pass
    assert closed.wait(30)


def test_whoever_stops_early_closes_all() -> None:
    closed = [threading.Event(), threading.Event()]

    def endless(event: threading.Event) -> Iterator[int]:
        try:
            yield from count()
        finally:
            event.set()

    stream = merged([lambda: endless(closed[0]), lambda: endless(closed[1])])
    next(stream)
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]  a generator's
    assert all(event.wait(30) for event in closed)
