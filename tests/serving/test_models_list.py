"""`GET /v1/models`: each model's version and state; one that does not answer hides none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serving.api import models
from serving.api.api import create_api
from serving.deployments import ServedModel
from serving.jobs.sql import SqlJobs
from serving.models.asked import ModelCard
from serving.models.client import LocalModel, ModelUnavailable
from serving.models.family import ModelFamily, card_of
from serving.settings import ModelSettings, ServeSettings

pytestmark = pytest.mark.anyio


class Away:
    """A model without a replica."""

    async def card(self) -> ModelCard:
        raise ModelUnavailable("model pidm_closet: no replica answers now; try again")


class Silent:
    """A model whose replica does not come to answer, or not more than once."""

    first: ModelCard | None = None

    async def card(self) -> ModelCard:
        if self.first is not None:
            first, self.first = self.first, None
            return first
        await asyncio.Event().wait()
        raise AssertionError("it waits for ever")


@pytest.fixture
def told(settings: ServeSettings, stepping_settings: ModelSettings) -> ServeSettings:
    return settings.model_copy(update={"models": (*settings.models, stepping_settings)})


async def listed(told: ServeSettings, path: str = "/v1/models", **by_recipe: Any) -> httpx.Response:
    app = create_api(told, by_recipe, SqlJobs(told.database))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.get(path)


async def test_one_is_told_as_it_is_listed(settings: ServeSettings, family: ModelFamily) -> None:
    answers = [
        await listed(settings, path, viton_hd_closet=LocalModel(family))
        for path in ("/v1/models", "/v1/models/viton_hd_closet", "/v1/models/viton")
    ]

    every, one, none = (answer.json() for answer in answers)
    assert one == every["models"][0] | every["data"][0] | {"created": one["created"]}
    assert (answers[2].status_code, none["code"]) == (404, "model_unknown")
    assert none["detail"] == "model: there is no 'viton'; must be one of ['viton_hd_closet']"


@pytest.mark.parametrize(
    ("other", "state", "why"),
    [(Away(), "away", "no replica answers now"), (Silent(), "starting", "has not answered yet")],
)
async def test_a_model_that_is_away_is_listed_as_such(
    told: ServeSettings,
    family: ModelFamily,
    stepping_settings: ModelSettings,
    other: Any,
    state: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "_ANSWERS_WITHIN_S", 0.2)
    answer = await listed(told, viton_hd_closet=LocalModel(family), pidm_closet=other)

    assert answer.status_code == 200, answer.text
    fine, away = answer.json()["models"]
    listed_so = answer.json()["object"], [one["id"] for one in answer.json()["data"]]
    assert listed_so == ("list", ["viton_hd_closet", "pidm_closet"]), "as OpenAI's clients read it"
    assert (fine["state"], fine["away"]) == ("ready", "") and (away["state"], away["is_asleep"]) == (state, False)
    assert why in away["away"] and away["digests"] == card_of(stepping_settings).digests


async def test_weights_that_are_elsewhere_are_no_reason_to_be_silent(told: ServeSettings, family: ModelFamily) -> None:
    there = ModelSettings(recipe="viton_hd", weights={"weights": "elsewhere", "parser": None, "pose": None})
    told = told.model_copy(update={"models": (told.models[0], there)})
    fine, away = (await listed(told, viton_hd_closet=LocalModel(family), viton_hd=Away())).json()["models"]

    assert (
        fine["state"] == "ready" and away["state"] == "away" and away["digests"] == {} and away["size"] == [1024, 768]
    )


async def test_other_weights_are_another_version(
    told: ServeSettings, family_settings: ModelSettings, tiny: Callable[[int], str], family: ModelFamily
) -> None:
    first = (await listed(told, viton_hd_closet=LocalModel(family), pidm_closet=Away())).json()["models"][0]
    other = ModelFamily(family_settings.model_copy(update={"weights": {"weights": tiny(1)}}))
    second = (await listed(told, viton_hd_closet=LocalModel(other), pidm_closet=Away())).json()["models"][0]
    other.close()

    release, _, digits = first["version"].partition("+")
    assert first["fingerprint"].startswith(digits) and len(digits) == 8
    assert second["version"].startswith(f"{release}+") and second["version"] != first["version"]


async def test_who_sleeps_tells_the_weights_that_it_will_wake_with(
    family_settings: ModelSettings, tiny: Callable[[int], str]
) -> None:
    model = ServedModel(family_settings, None)  # pyright: ignore[reportArgumentType]  nobody is asked
    first, second = (model._asleep_card({"weights": tiny(seed)}) for seed in (0, 1))

    assert first.is_asleep and first.digests == card_of(family_settings).digests != second.digests
    with pytest.raises(ModelUnavailable, match="is asleep, and the weights"):
        model._asleep_card({"weights": "/nowhere"})


async def test_a_model_that_answers_no_more_is_away(
    told: ServeSettings, family: ModelFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_ANSWERS_WITHIN_S", 0.2)
    waits = Silent()
    waits.first = family.card()
    app = create_api(told, {"viton_hd_closet": waits, "pidm_closet": Away()}, SqlJobs(told.database))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        first, second = [(await client.get("/v1/models")).json()["models"][0] for _ in range(2)]
    assert (first["state"], second["state"]) == ("ready", "away") and "did not answer within" in second["away"]
