"""The whole application: routes behind keys and limits, jobs running beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from serving.api import jobs, making, metering, models, page
from serving.api.access import Access, LoopbackOnly
from serving.api.addresses import Addresses
from serving.api.bodies import BodyLimit
from serving.api.forms import FormReader
from serving.api.measuring import Measured
from serving.api.metering import Meter, RateLimitHeaders
from serving.api.problems import Problem, install
from serving.api.receiving import Receiver
from serving.api.tasks import tasks_of
from serving.jobs.files import JobFiles
from serving.jobs.job import JobStore
from serving.jobs.progress import ProgressStore
from serving.jobs.runner import JobRunner
from serving.jobs.sqlite_progress import SqliteProgress
from serving.keys import KeyRing
from serving.metrics import RequestMetrics
from serving.models.asked import Refusal
from serving.models.client import Model
from serving.offered import offered
from serving.quotas.quota import UseStore
from serving.quotas.sqlite import SqliteUses
from serving.settings import ServeSettings


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
    recipes = [offered(model.recipe, model.weights, batch_size=model.batch_size) for model in settings.models]
    tasks = tasks_of(recipes)
    limits, metrics = settings.limits, RequestMetrics()
    access = Access(None if settings.anonymous else KeyRing(settings.keys))
    reader = FormReader(limits, Addresses(settings.fetching, max_bytes=limits.max_input_bytes))
    files = JobFiles(settings.store)
    progress = progress or SqliteProgress(settings.database)
    runner = JobRunner(store, progress, files, by_recipe, settings.jobs, metrics, _as_problem)
    meter = Meter(uses or SqliteUses(settings.database), access)
    receiver = Receiver(store, progress, files, runner, settings.jobs, meter)

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(runner.run())
        try:
            yield
        finally:
            work.cancel()
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
    app.include_router(jobs.routes(tasks, access, reader, receiver, meter))
    app.include_router(metering.routes(access, meter, store))
    app.include_router(models.routes(tasks, by_recipe, access, limits))
    app.include_router(page.routes(tasks, limits, needs_key=not settings.anonymous))
    # The last added is the first asked.
    app.add_middleware(BodyLimit, max_bytes=limits.max_body_bytes)
    if settings.anonymous:
        app.add_middleware(LoopbackOnly)
    app.add_middleware(RateLimitHeaders)
    app.add_middleware(Measured, metrics=metrics)
    return app


def _as_problem(refusal: Refusal) -> dict[str, object]:
    return Problem.of_refusal(refusal).body().model_dump(exclude_none=True)
