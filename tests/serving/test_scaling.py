"""Replicas by seconds of queued work: the policy as a function, as Ray Serve calls it, and as settings tell it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ray.serve._private.common import DeploymentID, ReplicaID
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from serving.app import build_app
from serving.models.asked import Ask
from serving.models.family import ModelFamily, card_of
from serving.scaling import QUEUED_S, replicas_for
from serving.settings import ModelSettings, ScalingSettings, ServeSettings

pytestmark = pytest.mark.anyio
MODEL = DeploymentID(name="viton_hd_closet", app_name="default")


@pytest.mark.parametrize(
    ("work_s", "num_requests", "num_outside", "wanted"),
    [
        (0.0, 0.0, 0.0, 0),
        (0.0, 3.0, 0.0, 1),  # nobody has told of any work yet
        (0.4, 1.0, 0.0, 1),
        (10.0, 5.0, 0.0, 1),
        (10.1, 5.0, 0.0, 2),
        (60.0, 3.0, 0.0, 6),  # three requests of twenty seconds
        (3.0, 30.0, 0.0, 1),  # thirty of a tenth
        (30.0, 90.0, 60.0, 9),  # two of three have found no room: three times the work
        (0.2, 0.0, 0.0, 1),
    ],
)
async def test_replicas_for_work(work_s: float, num_requests: float, num_outside: float, wanted: int) -> None:
    found = replicas_for(work_s=work_s, num_requests=num_requests, num_outside=num_outside, replica_s=10.0)

    assert found == wanted


def context(config: AutoscalingConfig, *, queued_s: list[float], requests: float, state: Any) -> AutoscalingContext:
    replicas = [ReplicaID(unique_id=str(number), deployment_id=MODEL) for number in range(len(queued_s))]
    return AutoscalingContext(
        deployment_id=MODEL,
        deployment_name=MODEL.name,
        app_name=MODEL.app_name,
        current_num_replicas=len(replicas),
        target_num_replicas=len(replicas),
        running_replicas=replicas,
        total_num_requests=requests,
        total_queued_requests=0.0,
        aggregated_metrics={QUEUED_S: dict(zip(replicas, queued_s, strict=True))},
        raw_metrics={},
        capacity_adjusted_min_replicas=config.min_replicas,
        capacity_adjusted_max_replicas=config.max_replicas,
        policy_state=state,
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=None,
        config=config,
    )


async def test_ray_serve_carries_and_calls_the_policy_that_the_settings_tell(tmp_path: Path) -> None:
    scaling = ScalingSettings(min_replicas=0, max_replicas=8, replica_s=5.0, up_after_s=0.0, zero_after_s=30.0)
    app: Any = build_app(
        ServeSettings(anonymous=True, models=(ModelSettings(scaling=scaling, num_gpus=0.25),), store=str(tmp_path))
    )
    (model,) = app._bound_deployment.init_args[1:]
    deployment = model._bound_deployment
    config = deployment._deployment_config.autoscaling_config
    assert (config.min_replicas, config.initial_replicas, config.max_replicas) == (0, 1, 8)
    assert config.downscale_to_zero_delay_s == 30.0 and deployment.ray_actor_options["num_gpus"] == 0.25

    carried: AutoscalingPolicy = config.policy  # as the controller unpacks it
    policy = carried.get_policy()(**carried.policy_kwargs)
    assert policy(context(config, queued_s=[12.0, 9.0], requests=6.0, state={})) == (5.0, {})
    assert policy(context(config, queued_s=[0.0, 0.0], requests=0.0, state={})) == (0.0, {})
    assert policy(context(config, queued_s=[], requests=1.0, state={}))[0] == 1.0


async def test_what_a_replica_tells_is_what_its_callers_will_wait(
    family_settings: ModelSettings, pictures: dict[str, bytes]
) -> None:
    family = ModelFamily(family_settings)
    assert family.queued_s == 0
    asks = [asyncio.create_task(family.make(Ask(inputs=pictures, seeds=(seed,)))) for seed in range(3)]
    told = []
    while not all(ask.done() for ask in asks):
        told.append(family.queued_s)
        await asyncio.sleep(0.001)
    family.close()

    assert max(told) > 0 and family.queued_s == 0


async def test_a_model_that_sleeps_is_known_by_its_settings(family_settings: ModelSettings) -> None:
    family = ModelFamily(family_settings)
    awake, asleep = family.card(), card_of(family_settings)
    family.close()

    assert asleep == awake and len(asleep.digests["viton_hd"]) == 64


async def test_settings_say_what_cannot_be() -> None:
    with pytest.raises(ValidationError, match="max_replicas is 1; must be at least min_replicas, 2"):
        ScalingSettings(min_replicas=2, max_replicas=1)
    with pytest.raises(ValidationError, match=r"num_gpus is 1.5; must be at most 1, or whole"):
        ModelSettings(num_gpus=1.5)
    assert ModelSettings(replicas=3).most_replicas == 3
    assert ModelSettings(replicas=3, scaling=ScalingSettings(max_replicas=5)).most_replicas == 5
