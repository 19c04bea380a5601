"""Pose transfer and text to person through the same door, bit for bit what their recipes make when called directly."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from atelier import poses
from atelier.recipe import Recipe
from atelier.stages.chain import column, new_batch
from serving.api.api import create_api
from serving.jobs.sqlite import SqliteJobs
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.models.samples import drawn_person
from serving.offered import offered
from serving.settings import ModelSettings, ServeSettings

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SIZE = (128, 96)
PROMPT = "a person with a black bob wears a red zebra T-shirt with navy trousers"


MODELS = tuple(
    ModelSettings(recipe=recipe, weights={"mode": "fast"}, batch_size=1)
    for recipe in ("truepose_closet", "pidm_closet", "human_diffusion_closet")
)
"""By the shipped weights, a row at a time."""


def direct(recipe: Recipe, prompt: str = "", **files: bytes) -> Any:
    columns: dict[str, Any] = {
        "item_id": ["a"],
        "variant": np.zeros(1, np.int32),
        "task": [recipe.task],
        "seed": np.asarray([7], np.int64),
        "prompt": [prompt],
        **{f"{name}_bytes": column([data]) for name, data in files.items()},
    }
    return recipe.after("fetch").build().run(new_batch(columns))


async def test_each_task_has_its_fields_and_gives_its_recipes_picture(tmp_path: Path) -> None:
    names = {"store": "store", "database": "jobs.sqlite"}
    settings = ServeSettings(
        models=MODELS, anonymous=True, **{name: str(tmp_path / file) for name, file in names.items()}
    )
    by_recipe = {model.recipe: LocalModel(ModelFamily(model)) for model in MODELS}
    app = create_api(settings, by_recipe, SqliteJobs(settings.database))
    person, pose = drawn_person(1, SIZE), poses.names()[0]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        body = {"person": base64.b64encode(person).decode(), "pose": pose, "seed": 7}
        posed = {
            "truepose_closet": await client.post("/v1/pose-transfer", json=body),
            "pidm_closet": await client.post("/v1/pose-transfer", json=body | {"model": "pidm"}),
        }
        spoken = await client.post("/v1/text-to-person", json={"prompt": PROMPT, "pose_map": pose, "seed": 7})
        try_on = await client.post("/v1/try-on", json=body)

    assert try_on.status_code == 404, "no recipe of it is served here"
    shas = set()
    for name, answer in posed.items():
        assert answer.status_code == 200, answer.text
        recipe = offered(name, {"mode": "fast"}, batch_size=1)
        made = direct(recipe, person=person, pose=poses.read(poses.address(pose), "pose"), parse=b"")
        (sample,) = answer.json()["samples"]
        assert sample["sha256"] == made["picture_sha256"][0]
        shas.add(sample["sha256"])
    assert len(shas) == 2, "two systems, two pictures"
    assert spoken.status_code == 200, spoken.text
    recipe = offered("human_diffusion_closet", {"mode": "fast"}, batch_size=1)
    made = direct(recipe, PROMPT, pose_map=poses.read(poses.address(pose), "pose_map"))
    (sample,) = spoken.json()["samples"]
    assert sample["sha256"] == made["picture_sha256"][0]
    assert sample["notes"] == str(made["notes"][0]).splitlines() and "zebra" in sample["notes"][0]
