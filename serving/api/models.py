"""`GET /v1/models`: what there is, and whether it answers."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from atelier.errors import AtelierError
from serving.api.access import Access
from serving.api.documents import problems
from serving.api.problems import Problem
from serving.api.tasks import Task
from serving.api.views import LimitsView, ModelsView, ModelView, OneModelView, OpenAIModelView
from serving.keys import Caller
from serving.models.asked import ModelCard
from serving.models.client import Model, ModelUnavailable
from serving.models.family import card_of
from serving.settings import Limits, ModelSettings

_ANSWERS_WITHIN_S = 5.0
"""A replica that takes longer to say what it is is told of as away, and what is known of it with it."""


def routes(
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    settings: Sequence[ModelSettings],
    access: Access,
    limits: Limits,
) -> APIRouter:
    """What the service makes, and its health.

    Args:
        models: by recipe's name. settings: each one's.
    """
    known: dict[str, ModelCard] = {}
    started_at_s = int(time.time())

    async def card(told: ModelSettings) -> ModelCard:
        name, is_starting = told.recipe, False
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                known[name] = await models[name].card()
            return known[name]
        except ModelUnavailable as error:
            away = str(error)
        except TimeoutError:
            is_starting = name not in known
            why = "has not answered yet; a request waits for it"
            away = f"model {name}: {why if is_starting else f'did not answer within {_ANSWERS_WITHIN_S:g} s'}"
        last = known.get(name)
        if last is None:
            try:
                last = await asyncio.to_thread(card_of, told)
            except AtelierError:  # this machine may not have what the model's has
                last = card_of(told, with_digests=False)
        return dataclasses.replace(last, waiting=0, running=0, is_asleep=False, is_starting=is_starting, away=away)

    router = APIRouter(tags=["models"])
    reader = Depends(access.to("models"))

    @router.get(
        "/v1/models",
        summary="The models, their weights' digests and licences, and what a request may bring",
        response_model=ModelsView,
        responses=problems(401, 403),
        operation_id="list_models",
    )
    async def listed(_caller: Caller = reader) -> ModelsView:
        """One without a replica is listed as `away`, with what was last known of it, and keeps nobody waiting."""
        cards = await asyncio.gather(*(card(told) for told in settings))
        views = [ModelView.of(card, tasks[card.task].path) for card in cards]
        listed = [OpenAIModelView(id=view.recipe, created=started_at_s) for view in views]
        return ModelsView(models=views, limits=LimitsView(**limits.model_dump()), data=listed)

    @router.get(
        "/v1/models/{recipe}",
        summary="One model",
        response_model=OneModelView,
        responses=problems(401, 403, 404),
        operation_id="get_model",
    )
    async def one(recipe: str, _caller: Caller = reader) -> OneModelView:
        """As `GET /v1/models` lists it."""
        found = next((told for told in settings if told.recipe == recipe), None)
        if found is None:
            known = [told.recipe for told in settings]
            raise Problem("model_unknown", f"model: there is no {recipe[:40]!r}; must be one of {known}")
        told = await card(found)
        view = ModelView.of(told, tasks[told.task].path)
        return OneModelView(**view.model_dump(), id=view.recipe, created=started_at_s)

    @router.api_route(
        "/healthz", methods=["GET", "HEAD"], summary="Whether the ingress answers", include_in_schema=False
    )
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return router
