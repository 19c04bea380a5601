"""A loop that is followed: its steps are told, what is coming is shown, and it stops when nobody waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from atelier.images import decode_picture, read_source_type
from serving.models.asked import Answer, Ask, Progress
from serving.models.family import ModelFamily
from serving.models.following import followed
from serving.models.watching import MOST_PARTIALS, partial_steps
from tests.serving.conftest import until
from tests.serving.held import INPUTS, STEPS, held

pytestmark = pytest.mark.anyio


def ask(*seeds: int, **values: Any) -> Ask:
    # Held loops make the batcher expect long ones: patience enough for them.
    return Ask(inputs=INPUTS, seeds=seeds, **({"timeout_s": 600.0} | values))


async def test_each_step_is_told_and_changes_no_bit(stepping: ModelFamily) -> None:
    steps: list[Progress] = []
    watched = await stepping.make(ask(7, 8, 9, with_partials=True), steps.append)
    alone = await stepping.make(ask(7, 8, 9))

    assert watched.refusal is None and watched.samples == alone.samples
    # Two rows at a time: the third sample has a loop of its own.
    assert [(one.samples, one.step) for one in steps] == [
        (samples, step) for samples in ((0, 1), (2,)) for step in range(STEPS + 1)
    ]
    assert {(one.step > 0, one.num_steps) for one in steps} == {(False, 0), (True, STEPS)}
    steps = [one for one in steps if one.step]
    assert steps[-1].queued_s > steps[0].queued_s >= 0 and steps[-1].step_s > 0
    shown = {one.step: set(one.partials) for one in steps[:STEPS] if one.partials}
    assert shown == {step: {0, 1} for step in partial_steps(STEPS)} and len(shown) == MOST_PARTIALS
    last = steps[STEPS - 2].partials[0]
    assert read_source_type(last) == "compositeWithTrainedAlgorithmicMedia", "what is shown is marked too"
    assert decode_picture(last).shape == (96, 72, 3) and len(last) < 10_000
    own: list[Progress] = []
    await stepping.make(ask(8, with_partials=True), own.append)
    assert own[STEPS - 1].partials == {0: steps[STEPS - 2].partials[1]} and own[STEPS - 1].partials[0] != last


async def test_nobody_who_wants_them_gets_no_partial_pictures(stepping: ModelFamily) -> None:
    steps: list[Progress] = []
    await stepping.make(ask(7), steps.append)
    assert len(steps) == 1 + STEPS and not any(one.partials for one in steps)


async def test_a_loop_that_nobody_waits_for_stops_before_its_next_step(
    stepping: ModelFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[float | None] = []
    monkeypatch.setattr(stepping._metrics, "stepped", counted.append)
    monkeypatch.setattr(stepping._metrics, "stopped", lambda: counted.append(None))
    with held(stepping, 3) as denoiser:
        leaving = asyncio.create_task(stepping.make(ask(7)))
        await denoiser.reached(3)
        leaving.cancel()
        await asyncio.wait((leaving,))
        denoiser.let()
        # The device is free for others only when the loop has ended.
        after = await stepping.make(ask(8))

    assert leaving.cancelled()
    assert after.refusal is None and denoiser.calls == 3 + STEPS
    # Of the third call the picture was made, though nobody wanted it; a loop's first step is not measured.
    assert counted.index(None) == 2 and counted.count(None) == 1 and len(counted) == 2 + 1 + STEPS - 1
    assert all(seconds is None or seconds > 0 for seconds in counted)
    stepping.check()


async def test_a_row_whose_caller_left_is_thrown_away_and_its_mates_keep_their_bits(stepping: ModelFamily) -> None:
    undisturbed = (await stepping.make(ask(7, 8))).samples
    fourth = STEPS + 4
    with held(stepping, 1, fourth) as denoiser:
        first = asyncio.create_task(stepping.make(ask(1)))  # while it runs, the two others meet in the queue
        await denoiser.reached(1)
        staying, leaving = (asyncio.create_task(stepping.make(ask(seed))) for seed in (7, 8))

        async def both() -> bool:
            return stepping.card().waiting == 2

        await until(both)
        denoiser.let(1)
        await denoiser.reached(fourth)
        leaving.cancel()
        await asyncio.wait((leaving,))
        denoiser.let(fourth)
        answer = await staying

    assert leaving.cancelled() and (await first).refusal is None
    assert answer.samples[0].picture == undisturbed[0].picture
    assert denoiser.calls == 2 * STEPS, "it went on to its end, and once"


async def test_a_deadline_that_passes_on_the_way_stops_the_loop(
    stepping: ModelFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_s = 0.0
    monkeypatch.setattr(stepping._batcher, "_clock", lambda: time.monotonic() + later_s)
    with held(stepping, 2, 5) as denoiser:
        making = asyncio.create_task(stepping.make(ask(7, timeout_s=100.0)))
        await denoiser.reached(2)
        later_s += 100.0
        denoiser.let(2)
        answer = await making
        patient = asyncio.create_task(stepping.make(ask(8, timeout_s=100.0, is_patient=True)))
        await denoiser.reached(5)
        later_s += 100.0
        denoiser.let(5)
        assert (await patient).refusal is None

    assert answer.refusal is not None and answer.refusal.code == "deadline_exceeded"
    assert denoiser.calls == 2 + STEPS


async def test_progress_that_nobody_took_in_time_is_overtaken_but_its_pictures_are_not(stepping: ModelFamily) -> None:
    said = [one async for one in followed(lambda told: stepping.make(ask(7, with_partials=True), told))]

    *steps, answer = said
    assert isinstance(answer, Answer) and answer.refusal is None
    assert steps and all(isinstance(one, Progress) for one in steps) and len(steps) <= STEPS
    told = [one.step for one in steps if isinstance(one, Progress)]
    assert told == sorted(set(told))


async def test_closing_the_stream_stops_the_loop(stepping: ModelFamily) -> None:
    with held(stepping, 4) as denoiser:
        stream = followed(lambda told: stepping.make(ask(7), told))
        assert isinstance(await anext(stream), Progress)
        await denoiser.reached(4)
        await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        denoiser.let()
        assert (await stepping.make(ask(8))).refusal is None

    assert denoiser.calls == 4 + STEPS
