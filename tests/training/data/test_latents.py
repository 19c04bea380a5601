"""TruePose's latents computed once, by this process or by Ray Data, are those that its step would compute each time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError
from atelier.models.truepose import TruePose
from tests.atelier.models.truepose.truepose_tiny import TINY, filled
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig, is_prepared
from training.data.latents import LATENTS, PairLatents
from training.data.prepare import prepare
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import plan
from training.data.sources.closet import ClosetSource
from training.data.truepose import StillTruePoseColumns, TruePoseColumns
from training.runs import named
from training.steps.base import Moment
from training.steps.truepose import TruePoseStepConfig

SIZE = (32, 32)
MODEL = dataclasses.replace(TINY, working_size=SIZE)
PAIRS = ClosetConfig(kind="pose_transfer", num_samples=4, size=SIZE)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    filled(TruePose(MODEL)).save_pretrained(tmp_path / "weights")
    return str(tmp_path / "weights")


def data(weights: str) -> DataConfig:
    features = (PairLatents(size=SIZE, weights=weights),)
    return DataConfig(closet=PAIRS, columns=StillTruePoseColumns(pose=MODEL.pose), features=features)


def test_a_step_takes_kept_latents_for_its_own(weights: str, tmp_path: Path) -> None:
    config = data(weights)
    dataset = config.open(None, tmp_path / "cache")
    assert dataset.column_names[-2:] == LATENTS
    rows = [config.loaded_columns(dataset[index], np.random.default_rng(index)) for index in range(3)]
    batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    assert np.array_equal(rows[2]["source"], dataset[2]["source"]), "as it is, in its own direction"

    step = TruePoseStepConfig(model=MODEL, autoencoder=weights).build(tmp_path)
    moment = Moment(progress=0.5, seeds=(1, 2, 3))
    with torch.no_grad():
        kept = step.loss("truepose", batch, moment).total
        computed = step.loss("truepose", {n: c for n, c in batch.items() if n not in LATENTS}, moment).total
        others = step.loss("truepose", batch | {LATENTS[1]: batch[LATENTS[1]] + 1}, moment).total
    torch.testing.assert_close(kept, computed)
    assert not torch.isclose(kept, others), "they are read"


def test_latents_of_pictures_that_are_turned_at_random_are_refused(weights: str) -> None:
    with pytest.raises(ConfigError, match=r"features latents: cannot be computed once: they read \['source', 'target'"):
        dataclasses.replace(data(weights), columns=TruePoseColumns(pose=MODEL.pose))


def test_the_run_without_augmentation_keeps_the_latents_of_its_steps_own_autoencoder() -> None:
    run = named("truepose_closet_still")
    [stage] = run.data.features
    assert isinstance(run.step, TruePoseStepConfig) and isinstance(stage, PairLatents)
    assert stage.weights == run.step.autoencoder and stage.size == run.data.size == run.step.model.working_size


@pytest.mark.long
def test_ray_data_makes_the_features_that_a_run_then_finds(weights: str, tmp_path: Path) -> None:
    shards = str(tmp_path / "shards")
    prepare_here(plan(ClosetSource(config=PAIRS), shards))
    config = data(weights)
    [preparation] = config.feature_preparations(shards, tmp_path / "cache")
    index = prepare(preparation, num_workers=1)
    assert is_prepared(preparation.output) and preparation.output.startswith(f"{shards}/features-latents-")
    [here] = config.feature_preparations(shards, tmp_path / "cache")
    alone = prepare_here(here.into(str(tmp_path / "alone")))
    assert index.digest == alone.digest and index.shards == alone.shards
    dataset = config.open(shards, tmp_path / "cache")
    assert dataset[3][LATENTS[0]].any() and not (tmp_path / "cache" / "prepared").exists()
