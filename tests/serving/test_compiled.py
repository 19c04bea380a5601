"""Compiled networks are a setting of each model, and are compiled before it is ready."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from atelier import recipes
from serving.models.asked import Ask
from serving.models.family import ModelFamily
from serving.offered import OFFERED, offered
from serving.settings import ModelSettings
from tests.serving.conftest import write_tiny_pidm
from tests.serving.held import INPUTS

ROOT = Path(__file__).parents[2]
PUBLISHED: dict[str, dict[str, Any]] = {
    "viton_hd": {"weights": "viton_hd_closet", "parser": None, "pose": None},
    "pidm": {"weights": "pidm_closet", "parser": None, "pose": None},
    "truepose": {"weights": "truepose_closet", "parser": None, "pose": None},
    "human_diffusion": {"weights": "human_diffusion_closet", "memory": None},
}
"""What the published recipes cannot do without; they look at the weights for their size."""


@pytest.fixture
def eager() -> Iterator[None]:
    """Lets what is compiled run as it is."""
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


def test_every_recipe_can_be_compiled_and_then_is_another() -> None:
    for name in recipes.RECIPES:
        assert offered(name, {}, compiled=True).fingerprint() != offered(name, {}).fingerprint()
    for name in OFFERED:
        recipe = offered(name, PUBLISHED.get(name, {}))
        changed = [old.name for old, new in zip(recipe.stages, recipe.compiled().stages, strict=True) if old != new]
        assert changed == (["layout", "warp", "synthesize", "inspect"] if "viton" in name else ["synthesize"])


@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_a_model_is_built_with_compiled_networks(name: str, eager: None) -> None:
    stage = offered(name, {}, compiled=True).stages[-3 if "viton" in name else -2].build(torch.device("cpu"))
    model: Any = stage._model  # pyright: ignore[reportAttributeAccessIssue]
    compiled = [one for one, network in model.named_modules() if network._compiled_call_impl is not None]

    networks = {"viton_hd_closet": ["segmentation", "matching", "alias"], "truepose_closet": ["siamese"]}
    assert compiled == networks.get(name, ["unet"])


def test_a_compiled_models_pictures_go_by_another_fingerprint(stepping_settings: ModelSettings, eager: None) -> None:
    family = ModelFamily(stepping_settings.model_copy(update={"compile": True}))
    answer = asyncio.run(family.make(Ask(inputs=INPUTS, seeds=(7,))))
    family.close()

    plain = offered("pidm_closet", stepping_settings.weights, batch_size=2)
    assert len(answer.samples) == 1 and answer.fingerprint == plain.compiled().fingerprint() != plain.fingerprint()


@pytest.mark.long
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_it_is_compiled_before_it_is_ready_and_makes_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.serving.drive_compiled", write_tiny_pidm(tmp_path / "pidm")]
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout[done.stdout.index("{") :])

    assert found["after"] == found["ready"] > 0, "nobody who asks waits for a compiler"
    assert max(found["apart"]) < 1.0, "levels of 255, on average"
