"""One recipe's replica: engine, queue and warm-up, with weights that can be changed while it answers."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import torch

from atelier.errors import AtelierError, ConfigError, RowError, WeightsError
from atelier.models import registry
from atelier.models.diffusion.steps import SamplingStopped
from atelier.recipe import Recipe
from atelier.stages.base import Batch
from serving.metrics import ModelMetrics
from serving.models import batch_sizes
from serving.models.asked import Answer, Ask, ModelCard, Progress, Refusal, Sample
from serving.models.batcher import Batcher, Late, Overloaded, Wanted
from serving.models.engine import Engine
from serving.models.samples import drawn_request
from serving.models.watching import BatchWatch, FirstSteps, Follower, Made, Row, Told
from serving.offered import offered, told
from serving.settings import ModelSettings

_LOG = logging.getLogger(__name__)
_READERS = 4
"""Threads that decode and encode beside the device's own."""
_MAX_FAILURES = 5
"""Batches in a row that end in an error no row is to blame for, before the replica calls itself unhealthy."""


_WARM_STEPS = 10
"""Of each mode but the model's own. All of `fast`, whose steps differ: guided or not, whole or with features kept; of
`quality` each is like the first."""


class Unhealthy(AtelierError):
    """A replica that had better be replaced; the message says why."""


class ModelFamily:
    """Answers asks in its event loop; decoding, computing and encoding run in threads beside it.

    Built ready: weights loaded, networks compiled where that was asked for, one drawn request made in the model's own
    mode, and begun in each other one.

    Raises:
        AtelierError: no such recipe, weights that don't fit, or settings that contradict each other.
    """

    def __init__(self, settings: ModelSettings, metrics: ModelMetrics | None = None) -> None:
        self._settings, self._metrics = settings, metrics or ModelMetrics(settings.recipe)
        self._device = ThreadPoolExecutor(1, thread_name_prefix="device")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="pictures")
        self._failures, self._not_taken = 0, ""
        self._stepped_s = 0.0
        self._weights = dict(settings.weights)
        self._engines = self._ready(self._weights)
        self._batcher: Batcher[Row, Made | RowError] = Batcher(
            self._compute,
            largest=lambda engine: engine.sizes.largest,
            max_waiting=settings.max_waiting,
            launched=lambda _engine, waited: self._metrics.launched(waited),
            queued=self._metrics.waiting,
        )

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        """The pictures, or why there are none.

        Cancelling it gives its places in the queue back; a loop that makes nothing for anybody else stops at its next
        step.

        Args:
            told: called in the event loop when a batch with some of the pictures begins, and after each step of its
                loop.
        """
        started = time.monotonic()
        engine = self._engine  # an ask is read, made and written by one engine, whatever is swapped meanwhile
        if ask.mode is not None:
            if ask.mode not in self._engines:
                taken = f"takes one of {list(self._engines)}" if engine.recipe.modes else "has none"
                detail = f"mode: is {ask.mode!r}; {engine.recipe.name} {taken}"
                return self._refused(engine, Refusal(fault="rejected", code="field_invalid", detail=detail))
            engine = self._engines[ask.mode]
        return await self._answer(engine, ask, started, told)

    async def swap(self, weights: Mapping[str, str | None]) -> None:
        """Puts other weights in place of the present ones, without a pause: these answer until those are warm.

        Raises:
            AtelierError: they cannot be used; the present ones stay.
        """
        self._not_taken = ""
        if dict(weights) == self._weights:
            return
        loop = asyncio.get_running_loop()
        try:
            self._engines = await loop.run_in_executor(self._readers, self._ready, dict(weights))
        except AtelierError as error:
            self._not_taken = str(error)
            raise
        self._weights = dict(weights)
        _LOG.info("model %s: took up other weights, digests %s", self._settings.recipe, self._engine.digests)

    def card(self) -> ModelCard:
        """What it is, and how many pictures wait."""
        engine, sizes = self._engine, self._engine.sizes
        return dataclasses.replace(
            _card(engine.recipe, told(self._settings.recipe, self._weights), engine.fingerprint, engine.digests),
            batch_size=sizes.largest,
            batch_seconds=sizes.seconds,
            waiting=self._batcher.waiting,
            running=self._batcher.running,
            refused=self._not_taken,
        )

    @property
    def queued_s(self) -> float:
        """Seconds until all that waits or runs would be made, by what batches have taken."""
        return self._batcher.expected_wait_s(self._engine, 0)

    def tell(self) -> None:
        """Tells Prometheus how many pictures wait; to be called every few seconds, also while nothing changes."""
        self._metrics.waiting(self._batcher.waiting)

    def check(self) -> None:
        """Says by raising that the replica is no good: a batch that neither ends nor comes a step further, or errors
        that no row is to blame for.

        Raises:
            Unhealthy: which of the two.
        """
        name = self._settings.recipe
        silent_s = min(self._batcher.busy_s, time.monotonic() - self._stepped_s)
        if silent_s > self._settings.stuck_after_s:
            raise Unhealthy(f"model {name}: a batch has been running for {silent_s:.0f} s without a step")
        if self._failures >= _MAX_FAILURES:
            raise Unhealthy(f"model {name}: {self._failures} batches in a row ended in an error")

    def close(self) -> None:
        """Ends its threads once they are done with what they are at."""
        self._device.shutdown(wait=False)
        self._readers.shutdown(wait=False)

    @property
    def _engine(self) -> Engine:
        """Of an ask that names no mode."""
        return next(iter(self._engines.values()))

    async def _answer(self, engine: Engine, ask: Ask, started: float, told: Told | None) -> Answer:
        loop = asyncio.get_running_loop()
        follower = None
        if told is not None:

            def tell(progress: Progress) -> None:
                loop.call_soon_threadsafe(told, progress)

            follower = Follower(tell=tell, with_partials=ask.with_partials)
        try:
            rows = [await loop.run_in_executor(self._readers, engine.read, ask, ask.seeds[0])]
            # The files are the same for every seed: decoded once.
            rows += [rows[0] | {"seed": np.asarray([seed], np.int64)} for seed in ask.seeds[1:]]
            left_s = ask.timeout_s - (time.monotonic() - started)
            entered = time.monotonic()
            made = await self._batcher.submit(
                engine,
                [
                    Row(columns=row, ask=ask, sample=number, entered_s=entered, follower=follower)
                    for number, row in enumerate(rows)
                ],
                timeout_s=max(0.0, left_s),
                is_patient=ask.is_patient,
            )
            samples: list[Sample] = []
            for one in made:
                if isinstance(one, RowError):
                    raise one
                samples.append(await asyncio.wrap_future(one.sample))
        except RowError as error:
            return self._refused(engine, _of_row(error))
        except Overloaded as error:
            wait = error.retry_after_s
            refusal = Refusal(fault="overloaded", code="overloaded", detail=str(error), retry_after_s=wait)
            return self._refused(engine, refusal)
        except Late as error:
            return self._refused(engine, Refusal(fault="late", code="deadline_exceeded", detail=str(error)))
        except ConfigError as error:
            return self._refused(engine, Refusal(fault="rejected", code="output_invalid", detail=str(error)))
        except Exception as error:  # noqa: BLE001  it is told to the caller, and counted by the health check
            # Its words may quote what was asked, and a prompt is nobody's business: the log gets the place alone.
            where = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("model %s: an ask ended in %s at\n%s", engine.recipe.name, type(error).__name__, where)
            detail = "the model failed; the service's log says why"
            return self._refused(engine, Refusal(fault="failed", code="internal_error", detail=detail))
        first = made[0]
        seconds = dict(engine.seconds(first.columns)) if not isinstance(first, RowError) else {}
        self._metrics.made(seconds)
        return Answer(
            recipe=engine.recipe.name,
            samples=tuple(samples),
            mode=engine.recipe.mode,
            fingerprint=engine.fingerprint,
            digests=engine.digests,
            seconds=seconds | {"total": time.monotonic() - started},
        )

    def _refused(self, engine: Engine, refusal: Refusal) -> Answer:
        self._metrics.refused(refusal.code)
        return Answer(
            recipe=engine.recipe.name, refusal=refusal, fingerprint=engine.fingerprint, digests=engine.digests
        )

    async def _compute(self, engine: Engine, rows: Sequence[Row], wanted: Wanted) -> Sequence[Made | RowError]:
        started = time.monotonic()
        watch = BatchWatch(rows, wanted, preview=engine.preview, stepped=self._step_made)
        watch.begun()
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._device, self._make, engine, rows, watch)
        except SamplingStopped:
            self._metrics.stopped()  # nobody waits for it: no fault of the model's
            raise
        except Exception:
            self._failures += 1
            raise
        self._failures = 0
        self._metrics.computed(len(rows), time.monotonic() - started)
        return made

    def _make(self, engine: Engine, rows: Sequence[Row], watch: BatchWatch) -> list[Made | RowError]:
        """In the device's thread. Files are begun from here, all at once, before the event loop hears of the batch."""
        made = engine.make([row.columns for row in rows], watch)
        return [
            one
            if isinstance(one, RowError)
            else Made(columns=one, sample=self._readers.submit(engine.encode, one, row.ask))
            for one, row in zip(made, rows, strict=True)
        ]

    def _step_made(self, seconds: float | None) -> None:
        self._stepped_s = time.monotonic()
        if seconds is not None:
            self._metrics.stepped(seconds)

    def _ready(self, weights: Mapping[str, str | None]) -> dict[str, Engine]:
        """Engines by mode, that of an ask which names none first; all of them share one set of weights. It has made one
        drawn request, and the others have begun with it, in the thread that will make what is asked for.
        """
        settings = self._settings
        device = "cuda" if settings.num_gpus and torch.cuda.is_available() else "cpu"
        recipe = offered(settings.recipe, weights, batch_size=settings.fixed_batch_size, compiled=settings.compile)
        engine = Engine(recipe, device=device, num_threads=settings.num_threads)
        engines = {recipe.mode: engine}
        for mode in recipe.modes:
            if mode != recipe.mode:
                beside = Engine(recipe.in_mode(mode), device=device, num_threads=settings.num_threads, beside=engine)
                engines[mode] = beside
        request = drawn_request(recipe)
        if request is None:
            return engines
        ask = Ask(inputs=request.inputs, prompt=request.prompt, seeds=(0,))
        try:
            read = engine.read(ask, 0)
            (row,) = self._device.submit(engine.make, [read]).result()
            if isinstance(row, RowError):
                raise row
            engine.encode(row, ask)
            for one in engines.values():
                if one is not engine:
                    with suppress(SamplingStopped):
                        self._device.submit(one.make, [read], FirstSteps(_WARM_STEPS)).result()
            if settings.batch_size == "measured":
                self._measure(engine, read)
                for one in engines.values():
                    one.sizes = engine.sizes  # the network is the same, and with it what a row more costs
        except RowError as error:
            # Weights for photographs may see nobody in a drawing: that is no fault of theirs.
            _LOG.warning("model %s: was warmed up with a drawing that it refuses (%s)", settings.recipe, error.code)
        return engines

    def _measure(self, engine: Engine, row: Batch) -> None:
        """Sets the engine's batch sizes by what this device makes of them, a batch at a time between others."""

        def make(size: int) -> None:
            engine.sizes = batch_sizes.told(size)
            self._device.submit(engine.make, [row] * size).result()

        engine.sizes = batch_sizes.measured(make, most=self._settings.most_batch_size)
        table = ", ".join(f"{size}: {seconds:.3f} s" for size, seconds in engine.sizes.seconds.items())
        _LOG.info("model %s: batches of at most %d; measured %s", engine.recipe.name, engine.sizes.largest, table)


def card_of(settings: ModelSettings, *, with_digests: bool = True) -> ModelCard:
    """What a model will be that has not started; its weights are read for their digests alone.

    Args:
        with_digests: False tells neither them nor the fingerprint, where weights may not be here.

    Raises:
        AtelierError: no such recipe or weights.
    """
    recipe = offered(settings.recipe, settings.weights, batch_size=settings.fixed_batch_size, compiled=settings.compile)
    weights = told(settings.recipe, settings.weights)
    if not with_digests:
        return _card(recipe, weights, "", {})
    return _card(recipe, weights, recipe.fingerprint(), recipe.digests())


def _card(recipe: Recipe, weights: dict[str, str], fingerprint: str, digests: Mapping[str, str]) -> ModelCard:
    return ModelCard(
        recipe=recipe.name,
        task=recipe.task,
        size=recipe.size,
        inputs=recipe.inputs,
        optional=recipe.optional,
        batch_size=recipe.batch_size,
        modes=recipe.modes,
        mode=recipe.mode,
        fingerprint=fingerprint,
        weights=weights,
        digests=dict(digests),
        licences=_licences(weights),
    )


def _licences(choices: Mapping[str, str]) -> dict[str, str]:
    """The licence that the card beside each of a recipe's weights states."""
    stated: dict[str, str] = {}
    for name, value in choices.items():
        try:
            card = registry.folder(value) / "README.md"
        except WeightsError:
            continue  # a choice that is no weights, such as a mode of sampling
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        found = re.search(r"^licen[cs]e:\s*([^·\n]+)", text, re.M)
        stated[name] = found[1].strip() if found else "not stated"
    return stated


def _of_row(error: RowError) -> Refusal:
    stage = next(iter(getattr(error, "__notes__", ())), "")
    fault = "rejected" if error.rejected else "failed"
    return Refusal(fault=fault, code=error.code, detail=error.detail, stage=stage)
