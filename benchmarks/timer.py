"""The same service with Ray Serve's own batching, which forms batches on a timer: Atelier's is measured against it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any, cast

from ray import serve

from serving.deployments import SPARE_REQUESTS, Ingress, ModelReplica
from serving.models.family import ModelFamily
from serving.settings import ServeSettings

_WAIT_S = 0.01
"""Serve's default."""


class TimerBatches:
    """`@serve.batch` where Atelier has its `Batcher`."""

    waiting = running = 0
    busy_s = 0.0

    def __init__(self, family: ModelFamily) -> None:
        self._run = family._compute
        cast(Any, self._make).set_max_batch_size(family._engine.sizes.largest)

    def expected_wait_s(self, _key: Hashable, _more: int = 1) -> float:
        """It does not know."""
        return 0.0

    async def submit(
        self, key: Hashable, items: Sequence[Any], *, timeout_s: float, is_patient: bool = False
    ) -> list[Any]:
        """The results of items, in their order."""
        return list(await asyncio.gather(*(cast(Any, self._make)((key, item)) for item in items)))

    @serve.batch(batch_wait_timeout_s=_WAIT_S)
    async def _make(self, asked: list[tuple[Any, Any]]) -> list[Any]:
        items = [item for _, item in asked]
        return list(await self._run(asked[0][0], items, lambda: [True] * len(items)))


class TimerReplica(ModelReplica):
    """A replica with the other batching."""

    async def reconfigure(self, user_config: Any) -> None:
        await super().reconfigure(user_config)
        cast(Any, self._family)._batcher = TimerBatches(self._family)


def serve_by_timer(settings: ServeSettings) -> None:
    """Puts the same models beside a service that runs, below `/timer`, with the other batching."""
    models = [
        cast(Any, serve.deployment)(
            TimerReplica,
            name=f"timer_{model.recipe}",
            max_ongoing_requests=model.max_waiting + SPARE_REQUESTS,
            user_config={"weights": model.weights},
            ray_actor_options={"num_cpus": 0},
        ).bind(model.model_dump(mode="json", exclude={"weights"}))
        for model in settings.models
    ]
    ingress = cast(Any, Ingress).options(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
    serve.run(ingress.bind(settings.model_dump(mode="json"), *models), name="timer", route_prefix="/timer")
