"""Takes jobs up, asks the models, and ends each job once, with pictures or with a reason."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from atelier.errors import NotFound, StorageError
from atelier.images import MEDIA_TYPES
from serving.database import StateUnavailable
from serving.jobs.files import JobFiles
from serving.jobs.job import Ending, Job, JobStore
from serving.jobs.progress import ProgressStore
from serving.jobs.sweeping import Sweeper
from serving.metrics import RequestMetrics
from serving.models.asked import Answer, Ask, Refusal, Sample
from serving.models.client import Model, ModelDied, ModelUnavailable
from serving.models.following import Newest
from serving.settings import JobSettings

Stored = TypeVar("Stored")

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.2
"""How often an idle runner looks for jobs that another ingress took in or left behind."""
_SWEEP_EVERY_S = 30.0
_TELL_EVERY_S = 0.5
"""How often a job's progress is written down: a step of a small model takes less than writing that it was made."""
_ASK_S = 600.0
"""How long a job waits in a model's queue: nobody waits for it at the other end of a line."""
_LONGEST_PAUSE_S = 30.0
_STORE_PAUSES_S = (0.2, 1.0, 3.0, 10.0, 30.0)
"""Before each further attempt at a file: a store that restarts is back before they are over."""
_PAUSES: Mapping[str, str] = {
    "overloaded": "a place in the queue of model {model}",
    "deadline_exceeded": "model {model} to begin with it",
}
"""Refusals after which a job asks again, and what it then waits for."""


class JobRunner:
    """Works on jobs in the event loop that it is run in.

    Args:
        models: by recipe's name.
        refused: what a refusal is to callers, as plain values: a job keeps it so.
    """

    def __init__(
        self,
        store: JobStore,
        progress: ProgressStore,
        files: JobFiles,
        models: Mapping[str, Model],
        settings: JobSettings,
        metrics: RequestMetrics,
        refused: Callable[[Refusal], dict[str, Any]],
    ) -> None:
        self._store, self._progress, self._files, self._models = store, progress, files, models
        self._settings, self._metrics, self._refused = settings, metrics, refused
        self._sweeper = Sweeper(store, files)
        self._name = secrets.token_hex(8)
        self._woken = asyncio.Event()
        self._looks: dict[str, asyncio.Event] = {}
        self._working: dict[asyncio.Task[None], str] = {}
        self._is_resting = False

    @property
    def num_working(self) -> int:
        """Jobs that it has in hand."""
        return len(self._working)

    def rest(self) -> None:
        """Takes up no more jobs; those in hand go on, the others stay in the queue for another."""
        self._is_resting = True

    def wake(self) -> None:
        """Says that there is a job."""
        self._woken.set()

    def look_at(self, job_id: str) -> None:
        """Says that a job may not be this runner's any more; it would notice within a second by itself."""
        if job_id in self._looks:
            self._looks[job_id].set()

    async def run(self) -> None:
        """Works until it is cancelled; jobs in hand then go back to the queue."""
        swept_s = 0.0
        working = self._working
        try:
            while True:
                self._woken.clear()
                while not self._is_resting and (job := await self._claim(list(working.values()))):
                    task = asyncio.create_task(self._work(job))
                    working[task] = job.recipe
                    task.add_done_callback(working.pop)
                if (now := time.monotonic()) - swept_s > _SWEEP_EVERY_S:
                    swept_s = now
                    await self._sweep()
                waits = [asyncio.ensure_future(self._woken.wait()), *working]
                await asyncio.wait(waits, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                waits[0].cancel()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _claim(self, working: Sequence[str]) -> Job | None:
        """A job of a recipe that has places left; `working` has the recipes of those in hand."""
        lease_s = self._settings.lease_s
        full = {recipe for recipe in working if working.count(recipe) >= self._settings.at_once}
        try:
            return await asyncio.to_thread(
                self._store.claim, self._name, now_s=time.time(), lease_s=lease_s, without=full
            )
        except Exception as error:  # noqa: BLE001  a store that is away now comes back; a runner that ended would not
            _LOG.error("the job store does not answer: %s", type(error).__name__)
            return None

    async def _work(self, job: Job) -> None:
        newest = Newest()
        making = asyncio.ensure_future(self._make(job, newest))
        holding = asyncio.ensure_future(self._hold(job))
        telling = asyncio.ensure_future(self._tell(job, newest))
        try:
            await asyncio.wait((making, holding), return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                return  # cancelled by its owner, or lost to another ingress: not this one's to end
            ending = dataclasses.replace(making.result(), started_at_s=newest.began_at_s)
            if await self._end(job, ending, holding):
                self._metrics.job_ended(ending.state)
                await asyncio.to_thread(self._files.forget_inputs, job.id)
        except asyncio.CancelledError:
            self._store.put_back(job.id, self._name)
            raise
        except Exception as error:  # noqa: BLE001  the lease runs out, and the job is taken up again
            where = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("job %s: could not be ended: %s at\n%s", job.id, type(error).__name__, where)
        finally:
            for task in (making, holding, telling):
                task.cancel()
            await asyncio.gather(making, holding, telling, return_exceptions=True)

    async def _end(self, job: Job, ending: Ending, holding: asyncio.Future[None]) -> bool:
        """Whether the job was this runner's to end; a store that is away is waited for, while it may be."""
        while not holding.done():
            try:
                return await asyncio.to_thread(self._store.end, job.id, self._name, ending, now_s=time.time())
            except Exception as error:  # noqa: BLE001  as in `_claim`
                _LOG.error("the job store does not take the end of job %s: %s", job.id, type(error).__name__)
            await asyncio.wait((holding,), timeout=_TELL_EVERY_S)
        return False

    async def _tell(self, job: Job, newest: Newest) -> None:
        """Writes down how far the job has come, for as long as it goes on."""
        while True:
            progress = await newest.take()
            try:
                if progress is None:
                    await asyncio.to_thread(self._progress.void, job.id, self._name)
                else:
                    await asyncio.to_thread(self._progress.put, job.id, self._name, progress)
            except Exception as error:  # noqa: BLE001  as in `_claim`: the job itself goes on
                _LOG.error("the job store does not take progress: %s", type(error).__name__)
            await asyncio.sleep(_TELL_EVERY_S)

    async def _hold(self, job: Job) -> None:
        """Returns when the job is not this runner's any more, or may not be: the store has been away for a lease."""
        lease_s = self._settings.lease_s
        held_s = time.monotonic()
        self._looks[job.id] = look = asyncio.Event()
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(look.wait(), min(1.0, lease_s / 3))
                look.clear()
                asked_s, now_s = time.monotonic(), time.time()
                try:
                    if not await asyncio.to_thread(self._store.renew, job.id, self._name, now_s=now_s, lease_s=lease_s):
                        return
                    held_s = asked_s
                except Exception as error:  # noqa: BLE001  as in `_claim`
                    _LOG.error("the job store does not renew the lease of job %s: %s", job.id, type(error).__name__)
                    if time.monotonic() - held_s > lease_s:
                        return
        finally:
            del self._looks[job.id]

    async def _make(self, job: Job, newest: Newest) -> Ending:
        if job.attempts > self._settings.max_attempts:
            detail = f"was taken up {job.attempts - 1} times, and each time whoever had it went away"
            return self._failed(Refusal(fault="failed", code="attempts_exhausted", detail=detail))
        if job.recipe not in self._models:
            detail = f"this service does not have the model {job.recipe} any more"
            return self._failed(Refusal(fault="failed", code="model_unknown", detail=detail))
        try:
            inputs = await self._of_store(self._files.inputs, job.id, job.inputs)
        except StorageError:
            detail = "the job's inputs cannot be read from the store"
            return self._failed(Refusal(fault="failed", code="storage_unavailable", detail=detail))
        request = {**job.request, "seeds": tuple(job.request["seeds"])}
        left_s = job.created_at_s + self._settings.ends_after_s - time.time()
        ask = Ask(inputs=inputs, timeout_s=min(_ASK_S, max(0.0, left_s)), is_patient=True, **request)
        answer = await self._ask(job, ask, newest, left_s)
        if answer.refusal is not None:
            return self._failed(answer.refusal)
        media_type = MEDIA_TYPES[ask.format]
        try:
            for number, sample in enumerate(answer.samples):
                await self._of_store(self._keep, job.id, number, sample.picture, media_type)
        except StorageError:
            detail = "the job's pictures were made, and cannot be written to the store"
            return self._failed(Refusal(fault="failed", code="storage_unavailable", detail=detail))
        return Ending(state="succeeded", result=result_of(answer, ask))

    def _keep(self, job_id: str, number: int, picture: bytes, media_type: str) -> None:
        """Puts a picture into the store; out again if the job was cancelled meanwhile: whoever did that has deleted
        what was there, and this thread goes on after its job.
        """
        self._files.put_picture(job_id, number, picture, media_type)
        with suppress(StateUnavailable):  # then it goes with the job
            job = self._store.get(job_id)
            if job is None or job.state == "cancelled":
                self._files.forget(job_id)

    async def _of_store(self, call: Callable[..., Stored], *arguments: Any) -> Stored:
        """What a call of the files gives; one that is refused is made again for three quarters of a minute.

        Raises:
            StorageError: it was refused for as long, or there is no such file.
        """
        for pause_s in _STORE_PAUSES_S:
            try:
                return await asyncio.to_thread(call, *arguments)
            except NotFound:
                raise
            except StorageError as error:
                _LOG.warning("the store of files refuses: %s", type(error).__name__)
            await asyncio.sleep(pause_s)
        return await asyncio.to_thread(call, *arguments)

    async def _ask(self, job: Job, ask: Ask, newest: Newest, left_s: float) -> Answer:
        """The model's answer; a full queue and an absent replica are waited for, those that die of it not for ever, and
        nothing longer than a job may take.
        """
        deaths, awaited = 0, ""
        deadline = asyncio.timeout(left_s)
        try:
            async with deadline:
                while True:
                    awaited = f"an answer of model {job.recipe}"
                    try:
                        answer = await self._models[job.recipe].make(ask, newest.put)
                    except ModelUnavailable as error:
                        pause_s, awaited = 1.0, f"a replica of model {job.recipe}"
                        deaths += isinstance(error, ModelDied)
                        if deaths >= self._settings.max_attempts:
                            detail = f"the model's replica went away {deaths} times while it had this job"
                            refusal = Refusal(fault="failed", code="attempts_exhausted", detail=detail)
                            return Answer(recipe=job.recipe, refusal=refusal)
                    else:
                        if answer.refusal is None or answer.refusal.code not in _PAUSES:
                            return answer
                        pause_s = answer.refusal.retry_after_s
                        awaited = _PAUSES[answer.refusal.code].format(model=job.recipe)
                    newest.void()
                    await asyncio.sleep(min(max(pause_s, _LOOK_EVERY_S), _LONGEST_PAUSE_S))
        except TimeoutError:
            if not deadline.expired():
                raise  # the model's own: no matter of how long the job has taken
            most_s = self._settings.ends_after_s
            detail = f"was not done within {most_s:g} s of its acceptance; it waited for {awaited}"
            return Answer(recipe=job.recipe, refusal=Refusal(fault="late", code="deadline_exceeded", detail=detail))

    def _failed(self, refusal: Refusal) -> Ending:
        return Ending(state="failed", problem=self._refused(refusal))

    async def _sweep(self) -> None:
        """Deletes what has been kept for long enough."""
        try:
            await asyncio.to_thread(self._sweeper.sweep)
        except Exception as error:  # noqa: BLE001  as in `_claim`: the next sweep tries again
            _LOG.error("what is out of date could not be deleted: %s", type(error).__name__)


def result_of(answer: Answer, ask: Ask) -> dict[str, Any]:
    """What an answer says beside its pictures, as plain values."""
    return {
        "recipe": answer.recipe,
        "mode": answer.mode,
        "fingerprint": answer.fingerprint,
        "digests": dict(answer.digests),
        "seconds": {name: round(seconds, 4) for name, seconds in answer.seconds.items()},
        "samples": [
            {
                "seed": str(sample.seed),
                "media_type": MEDIA_TYPES[ask.format],
                "sha256": sample.sha256,
                "height": sample.shape[0],
                "width": sample.shape[1],
                "batch_shape": list(sample.batch_shape),
                "scores": {name: round(score, 4) for name, score in sample.scores.items()},
                "notes": list(sample.notes),
            }
            for sample in answer.samples
        ],
    }


def answer_of(job: Job, pictures: Sequence[bytes]) -> Answer:
    """The answer that a job's result was told by, with its pictures; scores and seconds are rounded."""
    assert job.result is not None
    result: dict[str, Any] = dict(job.result)
    samples = [
        Sample(
            seed=int(told["seed"]),
            picture=picture,
            sha256=told["sha256"],
            shape=(told["height"], told["width"]),
            batch_shape=tuple(told["batch_shape"]),
            scores=told["scores"],
            notes=tuple(told["notes"]),
        )
        for told, picture in zip(result.pop("samples"), pictures, strict=True)
    ]
    return Answer(**result, samples=tuple(samples))
