"""The service as Ray Serve runs it: a deployment a model, and one that answers HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from grpc.aio import AioRpcError
from ray import serve
from ray.exceptions import RayActorError, RayError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from atelier.errors import AtelierError, ConfigError
from serving import environment
from serving.api.access import is_loopback
from serving.api.api import close, create_api, give_up, stores
from serving.models.asked import Answer, Ask, ModelCard, Progress, Refusal
from serving.models.client import ModelDied, ModelUnavailable
from serving.models.family import ModelFamily, card_of
from serving.models.following import followed
from serving.models.watching import Told
from serving.offered import told
from serving.pace import Pace
from serving.scaling import QUEUED_S
from serving.settings import ModelSettings, ServeSettings

_LOG = logging.getLogger(__name__)

SPARE_REQUESTS = 32
"""What is let through to a full queue, so that it is refused by what can say when to come again."""


def _log_with_serve() -> None:
    """Has this process's Atelier write where Serve writes of it: whoever looks for a replica's log finds one."""
    for name in ("atelier", "serving"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        for handler in logging.getLogger("ray.serve").handlers:
            if handler not in logger.handlers:
                logger.addHandler(handler)


class ModelReplica:
    """A `ModelFamily` in an actor. A change of its `user_config`, `{"weights": …}`, is taken up without a restart.

    Weights that cannot be used are refused at the start; later, the present ones go on, and `card().refused` says why:
    Serve would stop a replica that raised, and start others that cannot start, until somebody mends the config.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        _log_with_serve()
        self._settings = settings
        self._made: ModelFamily | None = None

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        weights = dict(user_config["weights"])
        if self._made is None:  # Serve's first call, before anybody is let in
            settings = ModelSettings.model_validate(self._settings | {"weights": weights})
            self._made = await asyncio.to_thread(ModelFamily, settings)
            return
        try:
            await self._made.swap(weights)
        except AtelierError as error:
            _LOG.error("model %s: other weights were not taken up: %s", self._settings["recipe"], error)

    async def make(self, ask: Ask) -> Answer:
        return await self._family.make(ask)

    async def follow(self, ask: Ask) -> AsyncIterator[Progress | Answer]:
        async for said in followed(lambda told: self._family.make(ask, told)):
            yield said

    async def card(self) -> ModelCard:
        return self._family.card()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        return {QUEUED_S: 0.0 if self._made is None else self._made.queued_s}

    def check_health(self) -> None:
        if self._made is not None:
            # Ray's worker hands on what a gauge was set to once, and its node forgets that after 20 s: one that is set
            # only where the queue changes is in no scrape of a model at rest.
            self._made.tell()
            self._made.check()

    @property
    def _family(self) -> ModelFamily:
        if self._made is None:
            raise ModelUnavailable(f"model {self._settings['recipe']}: has not got its weights yet")
        return self._made


@serve.deployment
@serve.ingress()
class Ingress:
    """The application of `serving.api`, over handles.

    Raises:
        ConfigError: a Serve that would not keep what a service promises.
    """

    def __init__(self, settings: dict[str, Any], *handles: DeploymentHandle) -> None:
        _log_with_serve()
        self._settings = ServeSettings.model_validate(settings)
        check_serve(self._settings, host=_client().http_config.host)
        self._models = {
            model.recipe: ServedModel(model, handle)
            for model, handle in zip(self._settings.models, handles, strict=True)
        }

    def __serve_build_asgi_app__(self) -> FastAPI:
        self._api = create_api(self._settings, self._models, *stores(self._settings.database))
        return self._api

    async def close(self) -> int:
        """Takes no new work from now on; gives how much is in hand still: requests, and jobs with the models."""
        return close(self._api)

    async def give_up(self) -> int:
        """Tells whoever waits that the service stops; gives how many are inside still."""
        return give_up(self._api)


def check_serve(settings: ServeSettings, *, host: str | None) -> None:
    """Refuses what would stand open to strangers.

    Args:
        host: where Serve listens; None where it does not listen itself.

    Raises:
        ConfigError: Serve listens for others without keys, or takes anybody's word for its timeouts.
    """
    if settings.anonymous and host is not None and not is_loopback(host):
        raise ConfigError(f"http_options.host is {host!r}; without keys it must be this machine's own, e.g. 127.0.0.1")
    wanted = environment.ENVIRONMENT[environment.PROXY_CALLBACK]
    if (callback := os.environ.get(environment.PROXY_CALLBACK)) != wanted:
        raise ConfigError(
            f"{environment.PROXY_CALLBACK} is {callback!r} where Ray was started; must be {wanted!r}, or any caller's "
            "headers could end the requests of this service, or keep dead ones going"
        )


class ServedModel:
    """A `Model` behind a handle."""

    def __init__(self, settings: ModelSettings, handle: DeploymentHandle) -> None:
        self._settings, self._name, self._handle = settings, settings.recipe, handle
        self._card: ModelCard | None = None
        self._pace = Pace()

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        try:
            with self._pace.one():
                return await (self._call("make", ask) if told is None else self._follow(ask, told))
        except BackPressureError:
            detail = f"the queue before every replica of {self._name} is full; try again later"
            wait_s = self._pace.expected_s
            refusal = Refusal(fault="overloaded", code="overloaded", detail=detail, retry_after_s=wait_s)
            return Answer(recipe=self._name, refusal=refusal)

    async def card(self) -> ModelCard:
        """What the model is; one that is asleep is not woken for it."""
        scaling = self._settings.scaling
        if scaling is not None and scaling.min_replicas == 0:
            weights = await asyncio.to_thread(self._asleep_with)
            if weights is not None:
                return await asyncio.to_thread(self._asleep_card, weights)
        card: ModelCard = await self._call("card")
        self._card = card
        return card

    def _asleep_with(self) -> Mapping[str, str | None] | None:
        """The weights that it would wake up with, which may have been changed in its sleep; None where it is awake."""
        deployed = _client().get_serve_details()["applications"][self._handle.app_name]["deployments"][self._name]
        if any(replica["state"] == "RUNNING" for replica in deployed["replicas"]):
            return None
        return deployed["deployment_config"]["user_config"]["weights"]

    def _asleep_card(self, weights: Mapping[str, str | None]) -> ModelCard:
        if self._card is None or dict(self._card.weights) != told(self._name, weights):
            try:
                self._card = card_of(self._settings.model_copy(update={"weights": dict(weights)}))
            except AtelierError as error:
                detail = f"model {self._name}: is asleep, and the weights that it would wake up with cannot be used"
                raise ModelUnavailable(detail) from error
        return dataclasses.replace(self._card, waiting=0, running=0, is_asleep=True)

    async def _call(self, method: str, *arguments: Any) -> Any:
        response = getattr(self._handle, method).remote(*arguments)
        with self._told_apart(response):
            return await response

    async def _follow(self, ask: Ask, told: Told) -> Answer:
        response: Any = self._handle.options(stream=True).follow.remote(ask)
        with self._told_apart(response):
            async for said in response:
                if isinstance(said, Answer):
                    return said
                told(said)
        raise ModelDied(f"model {self._name}: its replica went away without an answer; try again")

    @contextmanager
    def _told_apart(self, response: Any) -> Iterator[None]:
        """Cancelling what is waited for cancels the replica's call."""
        try:
            yield
        except asyncio.CancelledError:
            response.cancel()
            raise
        except BackPressureError:
            raise
        except TaskCancelledError as error:
            raise asyncio.CancelledError from error
        except (RayActorError, AioRpcError) as error:
            # Ray takes gRPC's `UNAVAILABLE` for a lost actor; a replica that stops ends its calls by other codes.
            raise ModelDied(f"model {self._name}: its replica went away; try again") from error
        except (DeploymentUnavailableError, RayServeException, RayError) as error:
            # The replica's own errors are answers; what is raised is that it is not there.
            raise ModelUnavailable(f"model {self._name}: no replica answers now; try again") from error


def _client() -> Any:
    """Serve's client of this process. `serve.status()` is made of the same, and leaves configs out."""
    from ray.serve.context import _get_global_client

    return _get_global_client()
