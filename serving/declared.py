"""A service as Ray Serve's declarative config: what starts it, and what gives it other weights while it answers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atelier import storage
from atelier.errors import AtelierError, ConfigError, StorageError
from serving import database_url
from serving.environment import AUTH_MODE
from serving.jobs.files import JobFiles
from serving.offered import offered
from serving.settings import ModelSettings, ServeSettings

APP = "default"
DASHBOARD = "http://127.0.0.1:8265"
"""Where Ray's dashboard is by default; it takes configs, from those who have Ray's token."""
_LOOK_EVERY_S = 0.5
_MOST_S = 1800.0
"""Of a service being brought about: compiled networks take minutes, a GPU node that has to come as many."""


class NotDeployed(AtelierError):
    """Ray Serve could not bring a service about; the message is its own."""


def resolved(settings: ServeSettings) -> ServeSettings:
    """The same with whole paths: what a replica takes for its folder is not where the caller stands."""
    places = {
        "store": storage.resolve(settings.store),
        "database": database_url.resolved(settings.database),
        "keys": str(Path(settings.keys).resolve()),
    }
    return settings.model_copy(update=places)


def check_weights(settings: ServeSettings) -> None:
    """Looks whether the weights of all models can be used, and loads none.

    Raises:
        AtelierError: those of one cannot.
    """
    for model in settings.models:
        _recipe(model).check()


def try_weights(model: ModelSettings) -> None:
    """Loads a model's weights on the CPU, one model at a time, and lets them go.

    Raises:
        AtelierError: they cannot be used: another model's, cut off, or of other shapes.
    """
    _recipe(model).after("fetch").build()


def check_store(settings: ServeSettings) -> None:
    """Looks whether jobs' files can be written, where they lie in a folder.

    Raises:
        ConfigError: they cannot.
    """
    try:
        JobFiles(settings.store).check()
    except StorageError as error:
        raise ConfigError(f"store: is {settings.store!r}; {error.reason}") from error


def config_of(settings: ServeSettings) -> dict[str, Any]:
    """Settings as a config that `serve deploy` takes.

    A model's weights stand in it twice: under `args`, by which the API knows what the model takes, and as the
    `user_config` of its deployment. A change of the latter alone is taken up without a restart.
    """
    return _config(resolved(settings).model_dump(mode="json"), settings)


class Declared:
    """The Serve of a running Ray, over its dashboard.

    Args:
        dashboard: its address.
        most_s: seconds that a service may take to be brought about, its models' warm-up included.

    Raises:
        ConfigError: no address, nobody is there, or it wants Ray's token.
    """

    def __init__(self, dashboard: str = DASHBOARD, *, most_s: float = _MOST_S) -> None:
        self._most_s = most_s
        _check_dashboard(dashboard)
        # Ray reads it once, when it is imported; `serve deploy` finds the token in the same places.
        os.environ.setdefault(AUTH_MODE, "token")
        from ray.dashboard.modules.serve.sdk import ServeSubmissionClient
        from ray.exceptions import AuthenticationError

        try:
            self._client = ServeSubmissionClient(dashboard)
        except AuthenticationError as error:
            raise ConfigError(
                f"dashboard: {dashboard} wants Ray's token, and takes none that is here; be the user who started the "
                "service (~/.ray/auth_token), or set RAY_AUTH_TOKEN"
            ) from error
        except (ConnectionError, RuntimeError) as error:
            raise ConfigError(f"dashboard: {dashboard} does not answer as Ray's: {error}") from error

    def deploy(self, settings: ServeSettings) -> None:
        """Brings a service about, and returns when every model is warm.

        Raises:
            NotDeployed: Serve could not, or not in time.
        """
        self._send(config_of(settings))

    def apply(self, settings: ServeSettings) -> tuple[str, ...] | None:
        """Makes the running service that of other settings, and returns when it is.

        Where they differ in models' weights alone, these are taken up without a restart: the old ones answer until the
        new ones are warm. Everything else has Serve put new replicas in the place of the old.

        Returns:
            the recipes whose weights were changed in place; None where the service was deployed anew.

        Weights that differ are loaded here first: a replica that cannot take them up only says so in its card.

        Raises:
            AtelierError: weights that cannot be used: nothing is sent then. NotDeployed: Serve could not, or not in
                time; it goes on trying.
        """
        check_weights(settings)
        running = self._client.get_serve_details()["applications"].get(APP)
        told = (running or {}).get("deployed_app_config") or {}
        before = {one["name"]: one.get("user_config") for one in told.get("deployments", ())}
        changed = [one for one in settings.models if before.get(one.recipe) != {"weights": one.weights}]
        for one in changed:
            try_weights(one)
        if not told or not fits(resolved(ServeSettings.model_validate(told["args"])), resolved(settings)):
            self.deploy(settings)
            return None
        self._send(_config(told["args"], settings))
        return tuple(one.recipe for one in changed)

    def _send(self, config: Mapping[str, Any]) -> None:
        details = self._client.get_serve_details()
        # Serve's own cannot be changed while it runs, and would be another without a word.
        listening = {name: details[name] for name in ("proxy_location", "http_options") if details.get(name)}
        self._client.deploy_applications({**config, **listening})
        self._wait()

    def _wait(self) -> None:
        until_s = time.monotonic() + self._most_s
        found: Mapping[str, Any] = {}
        while time.monotonic() < until_s:
            time.sleep(_LOOK_EVERY_S)
            found = self._client.get_serve_details()["applications"].get(APP) or {}
            if found.get("status") == "RUNNING":
                return
            if found.get("status") in ("DEPLOY_FAILED", "UNHEALTHY"):
                raise NotDeployed(f"service: {found['message']}; {stand(found)}")
        raise NotDeployed(f"service: was not brought about within {self._most_s:g} s; {stand(found)}")


def stand(app: Mapping[str, Any]) -> str:
    """What Serve says of a service that is not there yet: its state, and what each unready deployment waits for."""
    if not app:
        return "Serve knows of none"
    unready = [one for one in app["deployments"].values() if one["status"] != "HEALTHY"]
    waits = [f"{one['name']} is {one['status']}: {one['message'] or 'its replicas start'}" for one in unready]
    return "; ".join([f"Serve says {app['status']}", *waits])


def _check_dashboard(address: str) -> None:
    try:
        url = urlsplit(address)
        is_one = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # its port is none, or its brackets do not close
        is_one = False
    if not is_one or re.search(r"\s", address):
        raise ConfigError(f"dashboard: is {address!r}; must be http://HOST:PORT, e.g. {DASHBOARD}")


def _config(args: Mapping[str, Any], settings: ServeSettings) -> dict[str, Any]:
    weights = [{"name": one.recipe, "user_config": {"weights": dict(one.weights)}} for one in settings.models]
    app = {"name": APP, "route_prefix": "/", "import_path": "serving.app:build_app", "args": args}
    return {"applications": [app | {"deployments": weights}]}


def fits(running: ServeSettings, wanted: ServeSettings) -> bool:
    """Whether nothing but weights differs, and these have the API take what it takes now."""
    if _without_weights(running) != _without_weights(wanted):
        return False
    return all(_taken(old) == _taken(new) for old, new in zip(running.models, wanted.models, strict=True))


def _without_weights(settings: ServeSettings) -> ServeSettings:
    return settings.model_copy(
        update={"models": tuple(one.model_copy(update={"weights": {}}) for one in settings.models)}
    )


def _taken(model: ModelSettings) -> tuple[Any, ...]:
    recipe = _recipe(model)
    return recipe.inputs, recipe.optional, recipe.size


def _recipe(model: ModelSettings) -> Any:
    return offered(model.recipe, model.weights, batch_size=model.fixed_batch_size)
