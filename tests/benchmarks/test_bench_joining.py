"""The clock that ways of forming batches are compared on."""

from __future__ import annotations

import pytest

from atelier.models import registry
from atelier.models.human_diffusion import HumanDiffusion
from benchmarks.joining import LARGEST, NUM_STEPS, WEIGHTS, Policy, bits_are_kept, latencies

STEP_S = {1: 1.0, 2: 1.5, 3: 2.0, 4: 2.5}


def policy(*, joins: bool, padded: bool, largest: int = LARGEST) -> Policy:
    return Policy(name="", joins=joins, padded=padded, largest=largest)


def test_a_request_alone_takes_a_loop() -> None:
    for joins in (False, True):
        assert latencies(policy(joins=joins, padded=True), [5.0], STEP_S) == [NUM_STEPS * 2.5]
        assert latencies(policy(joins=joins, padded=False), [5.0], STEP_S) == [NUM_STEPS * 1.0]


def test_one_who_joins_waits_for_a_step_and_one_who_does_not_for_the_loop() -> None:
    arrivals = [0.0, 3.0]
    assert latencies(policy(joins=True, padded=True), arrivals, STEP_S) == [50.0, 2.0 + 50.0]
    assert latencies(policy(joins=False, padded=True), arrivals, STEP_S) == [50.0, 47.0 + 50.0]
    assert latencies(policy(joins=False, padded=False, largest=1), arrivals, STEP_S) == [20.0, 17.0 + 20.0]
    # Unpadded, the first is slowed down by the second: 3 steps alone, 17 together, 3 alone.
    assert latencies(policy(joins=True, padded=False), arrivals, STEP_S) == pytest.approx([28.5, 28.5])


def test_nobody_joins_a_full_loop() -> None:
    took = latencies(policy(joins=True, padded=True), [0.0] * (LARGEST + 1), STEP_S)
    assert took == [50.0] * LARGEST + [100.0]


@pytest.mark.slow
def test_a_row_that_joins_late_has_the_bits_of_one_in_step() -> None:
    assert bits_are_kept(HumanDiffusion.from_pretrained(registry.folder(WEIGHTS)))
