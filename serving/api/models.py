"""`GET /v1/models`: what there is, and whether it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from serving.api.access import Access
from serving.api.documents import problems
from serving.api.problems import Problem
from serving.api.tasks import Task
from serving.api.views import LimitsView, ModelsView, ModelView
from serving.keys import Caller
from serving.models.client import Model, ModelUnavailable
from serving.settings import Limits


def routes(tasks: Mapping[str, Task], models: Mapping[str, Model], access: Access, limits: Limits) -> APIRouter:
    """What the service makes, and its health."""
    router = APIRouter(tags=["models"])
    reader = Depends(access.to("models"))

    @router.get(
        "/v1/models",
        summary="The models, their weights' digests and licences, and what a request may bring",
        response_model=ModelsView,
        responses=problems(401, 403, 503),
        operation_id="list_models",
    )
    async def listed(_caller: Caller = reader) -> ModelsView:
        try:
            cards = await asyncio.gather(*(model.card() for model in models.values()))
        except ModelUnavailable as error:
            raise Problem("model_unavailable", str(error), retry_after_s=2.0) from error
        views = [ModelView.of(card, tasks[card.task].path) for card in cards]
        return ModelsView(models=views, limits=LimitsView(**limits.model_dump()))

    @router.get("/healthz", summary="Whether the ingress answers", include_in_schema=False)
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return router
