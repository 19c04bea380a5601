"""Pose transfer and text to person through the same door, bit for bit what their recipes make when called directly."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from atelier import poses
from atelier.models.human_diffusion import HumanDiffusion
from atelier.models.human_diffusion import human_diffusion_closet as human_diffusion_config
from atelier.models.pidm import Pidm
from atelier.models.pidm import pidm_closet as pidm_config
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


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSettings]:
    """A PIDM and a HumanDiffusion of random weights, small and quick."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("weights")
    pidm = replace(pidm_config(), width=8, multipliers=(1, 2), texture_strides=(), num_groups=4)
    Pidm(pidm).save_pretrained(root / "pidm")
    human = replace(
        human_diffusion_config(),
        crop_size=16,
        key_width=16,
        value_width=16,
        num_buckets=256,
        text_width=16,
        width=16,
        multipliers=(1, 1, 2),
        num_groups=4,
        head_width=16,
        self_attention_strides=(8,),
        token_width=24,
        top_k=2,
        retrieved_strides=(2, 4),
    )
    HumanDiffusion(human).save_pretrained(root / "human_diffusion")
    weights = {"weights": str(root / "human_diffusion"), "memory": None, "mode": "fast"}
    return [
        ModelSettings(recipe="pidm_closet", weights={"weights": str(root / "pidm"), "mode": "fast"}, batch_size=1),
        ModelSettings(recipe="human_diffusion_closet", weights=weights, batch_size=1),
    ]


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


async def test_each_task_has_its_fields_and_gives_its_recipes_picture(
    models: list[ModelSettings], tmp_path: Path
) -> None:
    names = {"store": "store", "database": "jobs.sqlite"}
    settings = ServeSettings(
        models=tuple(models), anonymous=True, **{name: str(tmp_path / file) for name, file in names.items()}
    )
    by_recipe = {model.recipe: LocalModel(ModelFamily(model)) for model in models}
    app = create_api(settings, by_recipe, SqliteJobs(settings.database))
    person, pose = drawn_person(1, SIZE), poses.names()[0]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        body = {"person": base64.b64encode(person).decode(), "pose": pose, "seed": 7}
        posed = await client.post("/v1/pose-transfer", json=body | {"model": "pidm"})
        spoken = await client.post("/v1/text-to-person", json={"prompt": PROMPT, "pose_map": pose, "seed": 7})
        try_on = await client.post("/v1/try-on", json=body)

    assert posed.status_code == 200, posed.text
    assert spoken.status_code == 200, spoken.text
    assert try_on.status_code == 404, "no recipe of it is served here"
    recipe = offered("pidm_closet", models[0].weights, batch_size=1)
    made = direct(recipe, person=person, pose=poses.read(poses.address(pose), "pose"), parse=b"")
    (sample,) = posed.json()["samples"]
    assert sample["sha256"] == made["picture_sha256"][0]
    recipe = offered("human_diffusion_closet", models[1].weights, batch_size=1)
    made = direct(recipe, PROMPT, pose_map=poses.read(poses.address(pose), "pose_map"))
    (sample,) = spoken.json()["samples"]
    assert sample["sha256"] == made["picture_sha256"][0]
    assert sample["notes"] == str(made["notes"][0]).splitlines() and "zebra" in sample["notes"][0]
