"""`serve run serving.app:build_app`: a service from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import ray
from pydantic import ValidationError
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy

from atelier.errors import ConfigError
from atelier.joining import keep_token_private
from serving import environment
from serving.declared import check_store, resolved
from serving.deployments import SPARE_REQUESTS, Ingress, ModelReplica
from serving.faults import faults
from serving.scaling import QueuedSeconds
from serving.settings import ModelSettings, ServeSettings

_HEALTH_EVERY_S = 3.0
"""Serve's own 10 is what a killed replica goes unnoticed."""
_HEALTH_TIMEOUT_S = 30.0
_LOOK_BACK_S = 11.0
"""Over which the autoscaler takes the mean of what it is told; Serve wants more than 10."""


def build_app(args: ServeSettings | Mapping[str, Any]) -> Application:
    """The application that Ray Serve runs.

    Args:
        args: settings, or their values as the command line (`anonymous=true`) or a config file gives them.

    Raises:
        ConfigError: a value that no setting takes; a line for each, as `python -m serving run` tells it. A folder for
            the store that cannot be written.
    """
    if not ray.is_initialized():
        environment.set_defaults()  # `serve run` starts Ray after this, which itself starts a new one with a token
        keep_token_private()
    asked = _settings(args)
    check_store(asked)
    settings = resolved(asked)
    models = [_model(model, settings.drain_s) for model in settings.models]
    most = settings.limits.max_requests + SPARE_REQUESTS
    ingress = cast(Any, Ingress).options(
        num_replicas=settings.ingress_replicas,
        max_ongoing_requests=most,
        # Serve's own 429 has nothing to compute the time from: it is for those alone whom the ingress, which refuses
        # with one, has not heard of yet.
        backpressure_config={"status_code": 429, "retry_after_s": 5},
        max_queued_requests=most,
        graceful_shutdown_timeout_s=settings.drain_s,
        health_check_period_s=_HEALTH_EVERY_S,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        ray_actor_options={"num_cpus": 0},
    )
    return ingress.bind(settings.model_dump(mode="json"), *models)


def _settings(args: ServeSettings | Mapping[str, Any]) -> ServeSettings:
    try:
        return ServeSettings.model_validate(args)
    except ValidationError as error:
        # Without its cause: Ray would show pydantic's words above these.
        raise ConfigError("\n".join(faults(ServeSettings, error))) from None


def _model(settings: ModelSettings, drain_s: float) -> Application:
    deployment: Any = serve.deployment(
        ModelReplica,
        name=settings.recipe,
        **_replicas(settings),
        max_ongoing_requests=settings.max_waiting + SPARE_REQUESTS,
        max_queued_requests=settings.max_waiting + SPARE_REQUESTS,
        user_config={"weights": settings.weights},
        graceful_shutdown_timeout_s=drain_s,
        health_check_period_s=_HEALTH_EVERY_S,
        health_check_timeout_s=_HEALTH_TIMEOUT_S,
        ray_actor_options={"num_cpus": settings.num_cpus, "num_gpus": settings.num_gpus},
    )
    # Weights go by `user_config` alone: a change of an argument would restart the replica.
    return deployment.bind(settings.model_dump(mode="json", exclude={"weights"}))


def _replicas(settings: ModelSettings) -> dict[str, Any]:
    scaling = settings.scaling
    if scaling is None:
        return {"num_replicas": settings.replicas}
    policy = AutoscalingPolicy(
        policy_function=f"{QueuedSeconds.__module__}:{QueuedSeconds.__name__}",
        policy_kwargs={"replica_s": scaling.replica_s},
    )
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=scaling.min_replicas,
            initial_replicas=settings.first_replicas,
            max_replicas=scaling.max_replicas,
            upscale_delay_s=scaling.up_after_s,
            downscale_delay_s=scaling.down_after_s,
            downscale_to_zero_delay_s=scaling.zero_after_s,
            look_back_period_s=_LOOK_BACK_S,
            policy=policy,
        )
    }
