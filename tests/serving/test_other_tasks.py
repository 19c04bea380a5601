"""Pose transfer and text to person through the same door, bit for bit what the batch plane's worker stores."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from atelier import poses, recipes
from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.models.samples import drawn_person
from serving.settings import ModelSettings, ServeSettings
from tests.serving.overnight import made_overnight

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SIZE = (128, 96)
PROMPT = "a person with a black bob wears a red zebra T-shirt with navy trousers"
POSE = poses.address("standing")
SEEDS = (7,)
OFFERED = {
    "truepose_closet": ("/v1/pose-transfer", {"model": "truepose"}),
    "pidm_closet": ("/v1/pose-transfer", {"model": "pidm"}),
    "human_diffusion_closet": ("/v1/text-to-person", {"prompt": PROMPT}),
}
"""As they are shipped: their own batch size."""


@pytest.mark.parametrize(
    ("name", "mode"),
    [("pidm_closet", "fast"), *(pytest.param(name, "", marks=pytest.mark.long) for name in OFFERED)],
)
async def test_a_systems_picture_is_what_the_batch_plane_stores(name: str, mode: str, tmp_path: Path) -> None:
    model, (path, fields) = ModelSettings(recipe=name), OFFERED[name]
    files = {"pose_map": poses.read(POSE, "pose_map")} if "prompt" in fields else {"pose": poses.read(POSE, "pose")}
    files |= {} if "prompt" in fields else {"person": drawn_person(1, SIZE)}
    places = {place: str(tmp_path / place) for place in ("store", "database", "keys")}
    settings = ServeSettings(models=(model,), anonymous=True, **places)
    family = ModelFamily(model)
    app = create_api(settings, {name: LocalModel(family)}, SqlJobs(settings.database))
    asked = {"mode": mode} if mode else {}  # else the model's own
    body: dict[str, Any] = {one: base64.b64encode(data).decode() for one, data in files.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.post(path, json=body | fields | asked | {"seed": SEEDS[0]})
        absent = await client.post("/v1/try-on", json=body)
    family.close()
    shipped = recipes.RECIPES[name]()
    recipe = shipped.in_mode(mode) if mode else shipped
    outcomes, stored = made_overnight(recipe, files, SEEDS, tmp_path, fields.get("prompt", ""))

    assert answer.status_code == 200, answer.text
    (sample,) = answer.json()["samples"]
    assert base64.b64decode(sample["picture"]) == stored[0]
    assert answer.json()["fingerprint"] == outcomes[0].fingerprint and answer.json()["mode"] == recipe.mode
    assert tuple(sample["batch_shape"]) == tuple(outcomes[0].batch_shape) == (recipe.batch_size, *SIZE)
    if "prompt" in fields:
        assert "zebra" in sample["notes"][0], "a word that the model does not know"
    assert absent.status_code == 404, "no recipe of it is served here"
