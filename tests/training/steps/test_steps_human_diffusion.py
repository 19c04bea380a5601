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

from atelier.__main__ import main
from atelier.closet.files import labels_png
from atelier.closet.layouts import write_dataset
from atelier.errors import ConfigError, WeightsError
from atelier.memory import Memory
from atelier.memory_builder import MemoryBuilder
from atelier.models.human_diffusion import HumanDiffusion, parse
from atelier.models.human_diffusion.networks import read_encoders
from atelier.models.human_diffusion.remembering import remember
from atelier.models.human_diffusion.tokens import Words
from atelier.models.layers.pixels import picture_from_bytes
from atelier.stages.chain import new_batch
from atelier.weights import state_digest, write_folder
from pipelines import jobs
from tests.atelier.models.human_diffusion.local_parts import latent, write_clip, write_vae
from tests.atelier.models.human_diffusion.tiny import SIZE, TINY
from tests.training.steps.descent import descend
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.dataset import Sample
from training.data.described import DescribedColumns, item_number, letters, phrases_from
from training.runs import named
from training.steps.base import Moment
from training.steps.human_diffusion import DenoiserStep, DenoiserStepConfig, EncodersStepConfig
from training.steps.initial import memory_of
from training.watch.validation.base import validating
from training.watch.validation.text_to_person import TextToPersonValidation

ROWS = 5
LATENT = latent(TINY)


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
    found = list(descend((step.loss("encoders", batch, _moment(0)) for _ in range(8)), optimizer))
    assert found[-1][0] < 0.9 * found[0][0] and set(found[-1][1].terms) == {"contrastive", "reconstruction"}
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


def learned(step: DenoiserStep, batch: Mapping[str, Tensor]) -> list[float]:
    """The total loss before each of ten steps on one batch."""
    optimizer = torch.optim.Adam(step.networks.parameters(), lr=8e-3)
    return [total for total, _ in descend((step.loss("unet", batch, _moment(0)) for _ in range(10)), optimizer)]


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
    totals = learned(step, batch)
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


@pytest.fixture(scope="module")
def large_runs(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with what the large run is trained around, tiny: CLIP, an autoencoder, a memory of that CLIP."""
    runs = tmp_path_factory.mktemp("large")
    write_clip(runs / "clip")
    write_vae(runs / "vae")
    root = runs / "wardrobe"
    write_dataset("multimodal", str(root), items=ROWS, seed=0, size=SIZE, split="train")
    write_folder(runs / "sizes", LATENT.to_json(), {})
    told = ["memory", "build", "--data", str(root), "--model", str(runs / "sizes"), "--clip", str(runs / "clip")]
    assert main([*told, "--out", str(runs / "human_diffusion_memory")]) == 0
    return runs


def test_the_large_run_is_trained_around_clip_and_an_autoencoder(
    samples: list[Sample], large_runs: Path, tmp_path: Path
) -> None:
    """`human_diffusion_512` with tiny networks in the places of the large ones; then what it exports makes pictures."""
    run = named("human_diffusion_512")
    assert isinstance(run.step, DenoiserStepConfig) and isinstance(run.data.columns, DescribedColumns)
    columns = dataclasses.replace(run.data.columns, model=LATENT)
    rows = [columns(sample, np.random.default_rng(0)) for sample in samples]
    batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    torch.manual_seed(0)
    step = dataclasses.replace(run.step, model=LATENT).build(large_runs)
    fixed = {name: state_digest(step.model.get_submodule(name)) for name in ("encoders", "vae")}
    words = step.model.encode([str(sample["caption"]) for sample in samples])
    read = step.model.encode_words(Words(ids=step._ids(batch["words"]), said=batch["said"]))
    assert torch.equal(read.said, words.said) and torch.allclose(read.text, words.text, atol=1e-5)
    totals = learned(step, batch)
    assert totals[-1] < 0.9 * totals[0]
    assert {name: state_digest(step.model.get_submodule(name)) for name in fixed} == fixed

    step.export(step.networks, tmp_path / "weights", None)
    assert not list((tmp_path / "weights").glob("encoders*")) and not list((tmp_path / "weights").glob("vae*"))
    parts = {name: str(large_runs / name) for name in ("clip", "vae")}
    weights, memory = str(tmp_path / "weights"), str(large_runs / "human_diffusion_memory")
    recipe = jobs.named("published", human_diffusion=weights, memory=memory, **parts).recipes[0].in_mode("fast")
    assert recipe.size == SIZE
    prompt = "a person in a red shirt"
    columns = {"item_id": ["a"], "variant": [np.int32(0)], "task": [recipe.task], "seed": [np.int64(1)]}
    given = {"prompt": [prompt], "pose_map_bytes": [labels_png(np.ascontiguousarray(samples[0]["parse"]))]}
    chain = dataclasses.replace(recipe.after("fetch").before("encode"), batch_size=1).build()
    made = chain.run(new_batch(columns | given))
    assert made["error_code"][0] == "" and made["image"].shape == (1, *SIZE, 3)
    other = write_vae(tmp_path / "vae", seed=1)
    with pytest.raises(WeightsError, match="vae: the weights are"):
        HumanDiffusion.from_pretrained(weights, clip=parts["clip"], vae=other)


def test_long_phrases_are_cut_at_a_letter() -> None:
    told = ["", "a red shirt", "é" * 200, "\u5b57" * 120]
    assert phrases_from(letters(told)) == ["", "a red shirt", "é" * 160, "\u5b57" * 106]


def test_parts_that_a_model_needs_or_has_not_are_told(large_runs: Path) -> None:
    config = named("human_diffusion_512").step
    assert isinstance(config, DenoiserStepConfig)
    with pytest.raises(ConfigError, match="clip: is '', must be given"):
        dataclasses.replace(config, clip="")
    with pytest.raises(ConfigError, match="vae: is '', must be given for a model of encoder='clip' and"):
        dataclasses.replace(config, vae="")
    with pytest.raises(ConfigError, match="encoders: is 'some', must be empty"):
        dataclasses.replace(config, encoders="some")
    with pytest.raises(ConfigError, match="elsewhere/clip: is missing; put clip's folder there"):
        dataclasses.replace(config, model=LATENT).build(large_runs / "elsewhere")
