"""A request says what its picture may cost: modes of sampling, of one set of weights, as the batch plane runs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from atelier import recipes
from atelier.errors import ConfigError
from atelier.stages.sampled import MODES
from serving.api.api import create_api
from serving.api.options import Options
from serving.jobs.sql import SqlJobs
from serving.models.asked import Ask
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.offered import offered
from serving.settings import ModelSettings, ServeSettings
from tests.serving.conftest import until
from tests.serving.held import INPUTS
from tests.serving.overnight import made_overnight

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(
    settings: ServeSettings, family: ModelFamily, stepping_settings: ModelSettings, stepping: ModelFamily
) -> AsyncIterator[httpx.AsyncClient]:
    """A service with a model that has modes, `fast` its own, and one that has none."""
    told = settings.model_copy(update={"models": (*settings.models, stepping_settings)})
    by_recipe = {"viton_hd_closet": LocalModel(family), "pidm_closet": LocalModel(stepping)}
    app = create_api(told, by_recipe, SqlJobs(told.database))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


@pytest.mark.parametrize("mode", [*(pytest.param(mode, marks=pytest.mark.slow) for mode in MODES[:2]), "fast"])
async def test_a_mode_gives_the_batch_planes_picture(
    stepping_settings: ModelSettings, stepping: ModelFamily, mode: str, tmp_path: Path
) -> None:
    answer = await stepping.make(Ask(inputs=INPUTS, seeds=(7, 8), mode=mode))
    weights = {**stepping_settings.weights, "mode": mode}
    outcomes, stored = made_overnight(offered("pidm_closet", weights, batch_size=2), INPUTS, (7, 8), tmp_path)

    assert [sample.picture for sample in answer.samples] == stored
    assert answer.fingerprint == outcomes[0].fingerprint and answer.mode == mode


async def test_modes_differ_share_their_weights_and_no_batch(stepping: ModelFamily) -> None:
    asks = [Ask(inputs=INPUTS, seeds=(7,), mode=mode) for mode in ("balanced", "fast", None)]
    answers = await asyncio.gather(*(stepping.make(ask) for ask in asks))

    balanced, fast, own = [answer.samples[0].sha256 for answer in answers]
    assert balanced != fast == own, "the model's own is fast"
    models = {id(engine._stages[-1]._model) for engine in stepping._engines.values()}  # pyright: ignore[reportAttributeAccessIssue]
    parsers = {id(engine._stages[0]) for engine in stepping._engines.values()}
    assert list(stepping._engines) == ["fast", "quality", "balanced"] and len(models) == len(parsers) == 1


async def test_a_replica_says_which_modes_it_has(family: ModelFamily, stepping: ModelFamily) -> None:
    for model, words in ((family, "viton_hd_closet"), (stepping, "'fast', 'quality', 'balanced'")):
        answer = await model.make(Ask(inputs=INPUTS, seeds=(7,), mode="cheap"))
        assert answer.refusal is not None and answer.refusal.code == "field_invalid"
        assert answer.refusal.detail.startswith("mode: is 'cheap'; ") and words in answer.refusal.detail


async def test_a_request_names_its_mode(client: httpx.AsyncClient, stepping: ModelFamily) -> None:
    asked = {"pose": "standing", "seed": "7", "mode": "balanced"}
    person = {"person": INPUTS["person"]}
    made = await client.post("/v1/pose-transfer", files=person, data=asked)
    job = await client.post("/v1/jobs", files=person, data=asked | {"task": "pose_transfer"})

    async def ended() -> dict[str, Any] | None:
        told = (await client.get(job.headers["location"])).json()
        return told["result"] if told["state"] == "succeeded" else None

    result = await until(ended)
    for told in (made.json(), result):
        assert told["mode"] == "balanced" and told["fingerprint"] == stepping._engines["balanced"].fingerprint
    assert result["samples"][0]["sha256"] == made.json()["samples"][0]["sha256"]


async def test_who_has_no_such_mode_says_what_there_is(client: httpx.AsyncClient, pictures: dict[str, bytes]) -> None:
    refused = await client.post("/v1/try-on", files=pictures, data={"mode": "fast"})
    none = await client.post("/v1/try-on", files=pictures, data={"mode": "cheap"})
    wrong = await client.post("/v1/pose-transfer", files={"person": pictures["person"]}, data={"mode": "cheap"})

    assert (refused.status_code, refused.json()["code"]) == (400, "field_invalid")
    assert refused.json()["detail"] == 'mode: is "fast"; viton_hd_closet has none, leave it out'
    assert none.json()["detail"] == 'mode: is "cheap"; viton_hd_closet has none, leave it out'
    assert wrong.status_code == 400
    assert wrong.json()["detail"] == "mode: is \"cheap\"; must be one of ['quality', 'balanced', 'fast']"


async def test_models_page_and_document_tell_of_modes(client: httpx.AsyncClient) -> None:
    try_on, posed = (await client.get("/v1/models")).json()["models"]
    facts = (await client.get("/page/facts.json")).json()["tasks"]
    document = (await client.get("/openapi.json")).json()["paths"]

    assert (try_on["modes"], try_on["mode"]) == ([], "")
    assert (posed["modes"], posed["mode"]) == (list(MODES), "fast")
    told = [(one["modes"], one["mode"]) for task in facts for one in task["models"]]
    assert told == [([], ""), (list(MODES), "fast")]
    fields = [
        document[f"/v1/{path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        for path in ("try-on", "pose-transfer", "jobs")
    ]
    assert ["mode" in one for one in fields] == [False, True, True]


async def test_openais_quality_is_a_mode(client: httpx.AsyncClient) -> None:
    files = [("image[]", (f"{name}.bin", INPUTS[name])) for name in ("person", "pose")]
    told = {"model": "pidm_closet", "prompt": "-", "seed": "7"}
    low = await client.post("/v1/images/edits", files=files, data=told | {"quality": "low"})
    named = await client.post("/v1/images/edits", files=files, data=told | {"quality": "medium", "mode": "balanced"})
    both = await client.post("/v1/images/edits", files=files, data=told | {"quality": "high", "mode": "fast"})

    assert low.status_code == 200, low.text
    assert named.status_code == 200 and named.json()["data"] != low.json()["data"]
    assert both.status_code == 400 and both.json()["error"]["param"] == "mode"


async def test_a_recipe_knows_its_modes() -> None:
    assert get_args(get_args(Options.model_fields["mode"].annotation)[0]) == MODES
    for name, recipe in recipes.RECIPES.items():
        made = recipe()
        assert made.modes == (() if name == "viton_hd_closet" else MODES)
        for mode in made.modes:
            assert made.in_mode(mode).fingerprint() == offered(name, {"mode": mode}).fingerprint()
    with pytest.raises(ConfigError, match="viton_hd_closet"):
        recipes.viton_hd_closet().in_mode("fast")
