"""The whole application: routes behind keys and limits, jobs running beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI

from serving.api import jobs, making, metering, models, openai, page
from serving.api.access import Access, LoopbackOnly
from serving.api.addresses import Addresses
from serving.api.bodies import BodyLimit
from serving.api.documents import drop_unused, with_keys
from serving.api.door import AtTheDoor, Door
from serving.api.forms import FormReader
from serving.api.measuring import Measured
from serving.api.metering import Meter, RateLimitHeaders
from serving.api.openai import OpenAIErrors
from serving.api.problems import Problem, Unexpected, install
from serving.api.receiving import Receiver
from serving.api.tasks import tasks_of
from serving.api.views import JobView
from serving.database import Database
from serving.jobs.files import JobFiles
from serving.jobs.job import Job, JobStore
from serving.jobs.progress import ProgressStore
from serving.jobs.runner import JobRunner
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.jobs.webhooks import NotReached, WebhookSender
from serving.keys import KeyRing
from serving.metrics import RequestMetrics
from serving.models.asked import Refusal
from serving.models.client import Model
from serving.offered import offered
from serving.quotas.quota import UseStore
from serving.quotas.sql import SqlUses
from serving.settings import ServeSettings

_THREADS = 64
"""Most of them wait for a store; one that is away would hold up everything with the few that asyncio has."""


def create_api(
    settings: ServeSettings,
    by_recipe: Mapping[str, Model],
    store: JobStore,
    uses: UseStore | None = None,
    progress: ProgressStore | None = None,
) -> FastAPI:
    """The application over models that are there.

    Args:
        by_recipe: a model for each of `settings.models`.
        store: where jobs' states are kept. uses: where uses of quotas are counted; progress: where that of running jobs
            is; beside the jobs where None.
    """
    recipes = [offered(model.recipe, model.weights, batch_size=model.fixed_batch_size) for model in settings.models]
    tasks = tasks_of(recipes)
    limits, metrics = settings.limits, RequestMetrics()
    ring = None if settings.anonymous else KeyRing(settings.keys)
    access, addresses = Access(ring), Addresses(settings.fetching, max_bytes=limits.max_input_bytes)
    reader = FormReader(limits, addresses)
    files = JobFiles(settings.store)
    progress = progress or SqlProgress(settings.database)
    runner = JobRunner(store, progress, files, by_recipe, settings.jobs, metrics, _as_problem)
    meter = Meter(uses or SqlUses(settings.database), access)
    door = Door(most=limits.max_requests)
    receiver = Receiver(store, progress, files, runner, settings.jobs, meter, door, metrics, timeout_s=limits.timeout_s)
    told = partial(_told, links_from=settings.webhooks.links_from)
    sender = WebhookSender(
        store, settings.webhooks, metrics, post=partial(_post, addresses), secrets=partial(_secrets, ring), view=told
    )

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="stores"))
        working = [asyncio.create_task(runner.run()), asyncio.create_task(sender.run())]
        try:
            yield
        finally:
            for work in working:
                work.cancel()
            for work in working:
                with suppress(asyncio.CancelledError):
                    await work

    app = FastAPI(
        title="Atelier",
        version="1",
        description="Fashion pictures from pictures: the batch plane's recipes, online.",
        lifespan=running,
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
    )
    install(app)
    app.include_router(making.routes(tasks, by_recipe, reader, receiver, meter, timeout_s=limits.timeout_s))
    app.include_router(openai.routes(tasks, by_recipe, reader, meter, timeout_s=limits.timeout_s))
    app.include_router(jobs.routes(tasks, access, reader, receiver, meter))
    app.include_router(metering.routes(access, meter, store))
    app.include_router(models.routes(tasks, by_recipe, settings.models, access, limits))
    app.include_router(page.routes(tasks, limits, needs_key=not settings.anonymous))
    # The last added is the first asked.
    app.add_middleware(BodyLimit, max_bytes=limits.max_body_bytes)
    if settings.anonymous:
        app.add_middleware(LoopbackOnly)
    app.add_middleware(AtTheDoor, door=door)
    app.add_middleware(OpenAIErrors)
    app.add_middleware(RateLimitHeaders)
    app.add_middleware(Unexpected)
    app.add_middleware(Measured, metrics=metrics)
    app.state.door, app.state.runner = door, runner
    whole = app.openapi
    app.openapi = lambda: drop_unused(whole()) if settings.anonymous else with_keys(drop_unused(whole()))
    return app


def stores(address: str) -> tuple[JobStore, UseStore, ProgressStore]:
    """What an application keeps its state in, with the same connections.

    Raises:
        ConfigError, StateUnavailable: the database cannot be used, or does not answer.
    """
    database = Database(address)
    return SqlJobs(database), SqlUses(database), SqlProgress(database)


def close(app: FastAPI) -> int:
    """Lets no new work into an application of `create_api`, and gives how much it has in hand still."""
    door: Door = app.state.door
    runner: JobRunner = app.state.runner
    door.close()
    runner.rest()
    return door.inside + runner.num_working


def give_up(app: FastAPI) -> int:
    """Tells whoever waits that the service stops, and gives how many are told still."""
    door: Door = app.state.door
    door.give_up()
    return door.inside


async def _post(addresses: Addresses, url: str, body: bytes, headers: Mapping[str, str]) -> int:
    try:
        return await addresses.post("webhook.url", url, body, headers)
    except Problem as problem:
        raise NotReached(problem.code) from problem


def _secrets(ring: KeyRing | None, owner: str) -> Sequence[str]:
    return [] if ring is None else ring.webhook_secrets(owner)


def _told(job: Job, *, links_from: str) -> Mapping[str, object]:
    return JobView.of(job, position=0).told(links_from)


def _as_problem(refusal: Refusal) -> dict[str, object]:
    return Problem.of_refusal(refusal).body().model_dump(exclude_none=True)
