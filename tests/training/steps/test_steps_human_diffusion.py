"""HumanDiffusion's two steps at a few pixels: encoders first, a memory of them, then the denoiser."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from atelier.errors import ConfigError
from atelier.memory import Memory
from atelier.memory_builder import MemoryBuilder
from atelier.models.human_diffusion import HumanDiffusion, parse
from atelier.models.human_diffusion.networks import read_encoders
from atelier.models.human_diffusion.remembering import remember
from atelier.models.layers.pixels import picture_from_bytes
from atelier.weights import state_digest
from tests.atelier.models.human_diffusion.tiny import SIZE, TINY
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.dataset import Sample
from training.data.described import DescribedColumns, item_number
from training.steps.base import Moment
from training.steps.human_diffusion import DenoiserStep, DenoiserStepConfig, EncodersStepConfig
from training.steps.initial import memory_of
from training.watch.validation.base import validating
from training.watch.validation.text_to_person import TextToPersonValidation

ROWS = 5


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    closet = ClosetConfig(kind="described", num_samples=ROWS, size=SIZE)
    return [draw_sample(closet, index) for index in range(ROWS)]


@pytest.fixture(scope="module")
def batch(samples: list[Sample]) -> Mapping[str, Tensor]:
    rows = [DescribedColumns(model=TINY, mirror=False)(sample, np.random.default_rng(0)) for sample in samples]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


@pytest.fixture(scope="module")
def encoders_folder(batch: Mapping[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoders that the step has trained a little."""
    torch.manual_seed(0)
    step = EncodersStepConfig(model=TINY, learning_rate=5e-3).build(Path())
    optimizer = torch.optim.Adam(step.networks.parameters(), lr=5e-3)
    totals = []
    for _ in range(8):
        loss = step.loss("encoders", batch, _moment(0))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        totals.append(float(loss.total.detach()))
    assert totals[-1] < 0.9 * totals[0] and set(loss.terms) == {"contrastive", "reconstruction"}
    folder = tmp_path_factory.mktemp("encoders")
    step.export(step.networks, folder, torch.float16)
    return folder


@pytest.fixture(scope="module")
def memory_folder(samples: list[Sample], encoders_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, encoders = read_encoders(encoders_folder)
    pictures = picture_from_bytes(torch.from_numpy(np.stack([sample["person"] for sample in samples])))
    maps = torch.from_numpy(np.stack([sample["parse"] for sample in samples]))
    said = [parse(str(sample["caption"])) for sample in samples]
    builder = MemoryBuilder()
    ids = [str(sample["item_id"]) for sample in samples]
    builder.add(ids, remember(encoders, pictures, maps, said, crop_size=config.crop_size))
    folder = tmp_path_factory.mktemp("memory")
    builder.build(max_bytes=1_000_000, encoders_digest=state_digest(encoders)).save(folder)
    return folder


@pytest.fixture
def step(encoders_folder: Path, memory_folder: Path, tmp_path: Path) -> DenoiserStep:
    torch.manual_seed(0)
    config = DenoiserStepConfig(model=TINY, encoders=str(encoders_folder), memory=str(memory_folder))
    return config.build(tmp_path)


def _moment(seed: int) -> Moment:
    return Moment(progress=0.5, seeds=tuple(range(seed, seed + ROWS)))


def test_mirrored_but_for_printed_words(samples: list[Sample]) -> None:
    columns = DescribedColumns(model=TINY)
    printed = samples[0] | {"caption": np.array('a shirt with the word "SOL"')}
    plain = samples[0] | {"caption": np.array("a red shirt")}
    seen = {name: set() for name in ("printed", "plain")}
    for seed in range(12):
        for name, sample in (("printed", printed), ("plain", plain)):
            row = columns(sample, np.random.default_rng(seed))
            as_it_is = bool(np.array_equal(row["person"], sample["person"]))
            assert as_it_is == bool(np.array_equal(row["pose_map"], sample["parse"]))
            seen[name].add(as_it_is)
    assert seen == {"printed": {True}, "plain": {True, False}}


def test_small_pictures_are_means_of_large_ones_and_tell_the_same(samples: list[Sample]) -> None:
    columns = DescribedColumns(model=TINY, mirror=False)
    large = columns(samples[0], np.random.default_rng(0))
    small = dataclasses.replace(columns, halvings=2)(samples[0], np.random.default_rng(0))
    assert small["person"].shape == (SIZE[0] // 4, SIZE[1] // 4, 3) and small["person"].dtype == np.uint8
    means = large["person"].reshape(SIZE[0] // 4, 4, SIZE[1] // 4, 4, 3).mean((1, 3))
    assert np.abs(small["person"] - means).max() <= 1.5
    assert np.array_equal(small["pose_map"], large["pose_map"][::4, ::4])
    for name in ("words", "said", "item"):
        assert np.array_equal(small[name], large[name])


def test_a_memory_among_the_runs_goes_before_a_shipped_one(
    encoders_folder: Path, memory_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(memory_folder, tmp_path / "wardrobe")
    config = DenoiserStepConfig(model=TINY, encoders=str(encoders_folder), memory="wardrobe")
    step = config.build(tmp_path)
    assert step.memory is not None and step.memory.num_rows > 0
    assert memory_of(str(memory_folder), tmp_path) == memory_folder
    with pytest.raises(ConfigError, match="elsewhere/wardrobe: is missing; build a memory there first"):
        config.build(tmp_path / "elsewhere")


def test_a_validation_draws_people_by_the_stage(step: DenoiserStep, memory_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(memory_folder, tmp_path / "runs" / "wardrobe")
    validation = TextToPersonValidation(num_rows=2, size=SIZE, memory="wardrobe", batch_size=2, mode="fast")
    among = validation.beside(None).among(tmp_path / "runs")
    draw = validating(among, step, run="run", folder=tmp_path / "log", device=torch.device("cpu"))
    report = draw(3, step.networks)
    assert report.metrics["failed"] == 0 and np.isfinite(list(report.metrics.values())).all()
    with Image.open(tmp_path / "log" / "validation" / "newest" / "item-00001.png") as picture:
        assert picture.size == (SIZE[1], SIZE[0])
    without = dataclasses.replace(validation, memory="")
    assert without.among(tmp_path / "nowhere") == without


def test_the_denoiser_learns_and_leaves_the_encoders(step: DenoiserStep, batch: Mapping[str, Tensor]) -> None:
    before = state_digest(step.model.encoders)
    optimizer = torch.optim.Adam(step.networks.parameters(), lr=8e-3)
    totals = []
    for _ in range(10):
        loss = step.loss("unet", batch, _moment(0))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        totals.append(float(loss.total.detach()))
    assert totals[-1] < 0.9 * totals[0]
    assert state_digest(step.model.encoders) == before


def test_a_rows_loss_is_its_own(step: DenoiserStep, batch: Mapping[str, Tensor]) -> None:
    moment = _moment(3)
    parts = [
        float(step.loss("unet", {name: rows[part] for name, rows in batch.items()}, moment.rows(part)).total.detach())
        for part in (slice(index, index + 1) for index in range(ROWS))
    ]
    assert float(step.loss("unet", batch, moment).total.detach()) == pytest.approx(sum(parts) / ROWS, rel=1e-4)


def test_a_samples_own_crops_are_no_help(
    step: DenoiserStep, batch: Mapping[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    search = Memory.search

    def watched(self: Memory, *given, **named):
        asked.append(named["excluded"])
        return search(self, *given, **named)

    monkeypatch.setattr(Memory, "search", watched)
    step.loss("unet", batch, _moment(0))
    assert step.memory is not None
    ids = set(step.memory.rows.column("item_id").to_pylist())
    assert set(asked[0]) == ids and {item_number(item) for item in asked[0]} == set(batch["item"].tolist())


def test_what_is_exported_is_a_model_with_its_memory(
    step: DenoiserStep, batch: Mapping[str, Tensor], tmp_path: Path
) -> None:
    step.export(step.networks, tmp_path, torch.float16)
    model = HumanDiffusion.from_pretrained(tmp_path)
    assert model.config == TINY
    assert bool(model.encode(["a person in white shoes"], step.memory).said.any())


def test_settings_that_do_not_fit_are_refused(encoders_folder: Path, tmp_path: Path) -> None:
    without = dataclasses.replace(TINY, stylized_memory=False)
    with pytest.raises(ConfigError, match="a model with SMR is"):
        DenoiserStepConfig(model=TINY, encoders=str(encoders_folder))
    DenoiserStepConfig(model=without, encoders=str(encoders_folder)).build(tmp_path)
    with pytest.raises(ConfigError, match="has other sizes than the model"):
        DenoiserStepConfig(model=dataclasses.replace(without, key_width=32), encoders=str(encoders_folder)).build(
            tmp_path
        )
    with pytest.raises(ConfigError, match="encoder: is 'clip'"):
        DescribedColumns(model=dataclasses.replace(TINY, encoder="clip"))
