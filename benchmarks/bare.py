"""A service that does nothing, of an ingress and a model behind it as Atelier's: what Ray Serve itself takes."""

from __future__ import annotations

from typing import Any, cast

from fastapi import FastAPI, Request, Response
from ray import serve
from ray.serve.handle import DeploymentHandle

_NUM_BYTES = 8000
"""Of an answer: about a picture's."""
_MOST_REQUESTS = 1000


@serve.deployment(name="bare_model", max_ongoing_requests=_MOST_REQUESTS)
class BareModel:
    """Takes a request's body and gives the beginning of it back."""

    async def make(self, body: bytes) -> bytes:
        return body[:_NUM_BYTES]


@serve.deployment(name="bare_ingress", max_ongoing_requests=_MOST_REQUESTS)
@serve.ingress()
class BareIngress:
    """Hands each body on as it came."""

    def __init__(self, model: DeploymentHandle) -> None:
        self._model = model

    def __serve_build_asgi_app__(self) -> FastAPI:
        return passing_on(self._model)


def passing_on(model: Any) -> FastAPI:
    """An application that hands each body to a model as it came.

    Not in the class: Ray copies that without what its annotations alone name.
    """
    api = FastAPI()

    @api.post("/")
    async def make(request: Request) -> Response:
        made: bytes = await model.make.remote(await request.body())
        return Response(made, media_type="application/octet-stream")

    return api


def serve_bare(prefix: str) -> None:
    """Puts it beside a service that runs, below a prefix."""
    ingress, model = (cast(Any, one).options(ray_actor_options={"num_cpus": 0}) for one in (BareIngress, BareModel))
    serve.run(ingress.bind(model.bind()), name="bare", route_prefix=prefix)
