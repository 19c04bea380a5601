"""The service held against its own OpenAPI document: requests drawn from it, right and wrong, answered as it says."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode, checks, openapi
from schemathesis.specs.openapi import checks as document

from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.keys import KeyRing
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.settings import ModelSettings, ServeSettings

OPERATIONS = (
    "try_on",
    "pose_transfer",
    "text_to_person",
    "create_image_edit",
    "create_image",
    "create_job",
    "get_job",
    "delete_job",
    "follow_job",
    "get_picture",
    "list_models",
    "get_model",
    "get_usage",
)
NOTHING_WRONG = ("get_job", "delete_job", "list_models", "get_usage")
"""Nothing that is sent to these has a wrong shape."""
PATIENCE_S = 120.0
SHORT_S = 10.0
"""A caller's own deadline that a busy machine may miss."""


def is_no_fault_of_the_services(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """No server error, but where the caller themselves set a deadline that no picture can be made in."""
    asked = (case.headers or {}).get("X-Atelier-Timeout")
    if response.status_code != 504 or asked is None or float(asked) > SHORT_S:
        checks.not_a_server_error(context, response, case)


HELD = [
    is_no_fault_of_the_services,
    document.status_code_conformance,
    document.content_type_conformance,
    document.response_schema_conformance,
    document.response_headers_conformance,
    document.negative_data_rejection,
]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))


@pytest.fixture(scope="module")
def speaking() -> ModelFamily:
    """Text to person by the shipped weights, a row at a time."""
    return ModelFamily(ModelSettings(recipe="human_diffusion_closet", weights={"mode": "fast"}, batch_size=1))


@pytest.fixture
def schema(
    settings: ServeSettings,
    family: ModelFamily,
    stepping_settings: ModelSettings,
    stepping: ModelFamily,
    speaking: ModelFamily,
) -> Any:
    """Of a service that has every task."""
    spoken = ModelSettings(recipe="human_diffusion_closet", batch_size=1)
    told = settings.model_copy(update={"anonymous": False, "models": (*settings.models, stepping_settings, spoken)})
    families = {"viton_hd_closet": family, "pidm_closet": stepping, "human_diffusion_closet": speaking}
    by_recipe = {name: LocalModel(one) for name, one in families.items()}
    return openapi.from_asgi("/openapi.json", create_api(told, by_recipe, SqlJobs(told.database)))


@pytest.fixture
def key(settings: ServeSettings) -> str:
    return KeyRing(settings.keys).add("fuzz", ["make", "jobs", "models"])


def operation(schema: Any, name: str) -> schemathesis.APIOperation:
    return next(
        found.ok() for found in schema.get_all_operations() if found.ok().definition.raw.get("operationId") == name
    )


@pytest.mark.slow
def test_every_operation_is_drawn_from(schema: Any) -> None:
    names = {found.ok().definition.raw["operationId"] for found in schema.get_all_operations()}

    assert names == set(OPERATIONS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, mode) for name in OPERATIONS for mode in GenerationMode if mode.is_positive or name not in NOTHING_WRONG],
)
def test_what_is_drawn_is_answered_as_the_document_says(schema: Any, key: str, name: str, mode: GenerationMode) -> None:
    cases = operation(schema, name).as_strategy(generation_mode=mode)
    held = HELD if mode.is_negative else HELD[:-1]

    @seed(0)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def answered(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=held, timeout=PATIENCE_S)

    answered()
