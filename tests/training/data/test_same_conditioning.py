"""What training shows a network is what inference conditions it on, pixel for pixel, out of one folder of files."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from atelier import recipes, storage
from atelier.closet.layouts import write_dataset
from atelier.datasets import deepfashion
from atelier.models.pidm import Pidm, pidm_closet
from atelier.models.pidm.networks_unet import TextureEncoder
from atelier.recipe import Recipe
from atelier.skeletons import body25, write_openpose
from atelier.stages.base import Batch
from atelier.stages.chain import new_batch
from atelier.weights import CONFIG_NAME
from training.data.dataset import Dataset, Sample
from training.data.pose_transfer import PoseTransferColumns, SqueezedPoseTransferColumns
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import plan
from training.data.shards import ShardDataset
from training.data.sources.finding import LayoutSettings, find_source
from training.runs.pidm import pidm_256
from training.steps.base import Moment
from training.steps.pidm import PidmStepConfig

DRAWN, ANNOTATED = (96, 66), (48, 32)
SIZE, SQUARE = (64, 48), (64, 64)
"""The working size has another aspect than the pictures: there is padding. The square is what the network sees."""
MODEL = dataclasses.replace(
    pidm_closet(), patch=1, working_size=SQUARE, width=8, multipliers=(1, 2), texture_strides=(2,), num_groups=4
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeepFashion folder whose joints are annotated at another size than its pictures', as the release's are."""
    root = tmp_path_factory.mktemp("deepfashion")
    write_dataset("deepfashion", str(root), items=2, seed=3, size=DRAWN, split="train")
    shrunk = np.array([ANNOTATED[1] / DRAWN[1], ANNOTATED[0] / DRAWN[0], 1], np.float32)
    pictures, pairs = {}, []
    for sample in list(deepfashion.read(str(root), "train")):
        for address, joints in ((sample.source, sample.source_keypoints), (sample.target, sample.target_keypoints)):
            pictures[storage.name(address)] = (storage.name(address), storage.get(address), joints * shrunk)
        pairs.append((storage.name(sample.source), storage.name(sample.target)))
    deepfashion.write(str(root), "train", pictures.values(), pairs)
    return root


def prepared(address: Path, settings: LayoutSettings, output: Path) -> Dataset:
    prepare_here(plan(find_source(str(address), settings), str(output)))
    return ShardDataset(str(output), output.parent / "cache")


def row_of(recipe: Recipe, **files: bytes) -> Batch:
    """A row of a catalog, its files fetched."""
    columns = {"item_id": ["a"], "variant": [np.int32(0)], "task": [recipe.task], "seed": [np.int64(1)]}
    return new_batch({**columns, **{f"{name}_bytes": [data] for name, data in files.items()}})


def conditioned(recipe: Recipe, **files: bytes) -> Batch:
    """A row of a catalog, up to what conditions the network."""
    batch = recipe.after("fetch").before("synthesize").build().run(row_of(recipe, **files))
    assert batch["error_code"].tolist() == [""]
    return batch


def turn_as_it_is(columns: PoseTransferColumns, sample: Sample) -> Sample:
    """The columns of a turn in which nothing is exchanged."""
    for seed in range(100):
        made = columns(sample, np.random.default_rng(seed))
        if np.array_equal(made["source"], sample["source"]):
            return made
    raise AssertionError("no such turn")


class Seen(Exception):
    """What a network was shown; nobody waits for what it would make of it."""

    def __init__(self, shown: Tensor) -> None:
        super().__init__()
        self.shown = shown


@contextmanager
def stopping_at(kind: type[nn.Module]) -> Iterator[None]:
    """Raises `Seen` where a network of a kind is shown something."""

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, kind):
            raise Seen(inputs[0])

    handle = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


def test_pidm_is_trained_on_what_its_recipe_shows_it(folder: Path, tmp_path: Path) -> None:
    dataset = prepared(folder, LayoutSettings(size=SIZE, annotation_size=ANNOTATED), tmp_path / "shards")
    sample = dataset[1]
    made = turn_as_it_is(SqueezedPoseTransferColumns(mirror=False, network_size=SQUARE), sample)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        Pidm(MODEL).save_pretrained(tmp_path / "pidm")
    recipe = recipes.pose_transfer_by_pidm(
        name="pidm",
        size=SIZE,
        network_size=SQUARE,
        weights=str(tmp_path / "pidm"),
        parser=None,
        pose=None,
        mode="fast",
        batch_size=1,
    )
    pair = list(deepfashion.read(str(folder), "train"))[1]
    files = {"person": storage.get(pair.source), "pose": pose_file(pair.target_keypoints)}
    batch = conditioned(recipe, **files)
    assert np.array_equal(batch["person"][0], made["source"])
    assert (batch["person"][0][:, 0] == batch["person"][0][0, 0]).all(), "there is padding"
    assert np.array_equal(batch["pose_map"][0], made["pose_map"]) and batch["pose_map"][0].shape[:2] == SQUARE

    step = PidmStepConfig(model=MODEL, style_dropped=0.0, initial=str(tmp_path / "pidm")).build(tmp_path)
    columns = {name: torch.from_numpy(column.copy())[None] for name, column in made.items()}
    with stopping_at(TextureEncoder):
        with pytest.raises(Seen) as used:
            recipe.after("fetch").build().run(row_of(recipe, **files))
        with pytest.raises(Seen) as trained:
            step.loss("pidm", columns, Moment(progress=0.0, seeds=(1,)))
    assert torch.equal(trained.value.shown, used.value.shown)
    assert tuple(trained.value.shown.shape[2:]) == SQUARE


def pose_file(annotated: np.ndarray) -> bytes:
    """The joints in the pixels of a drawn picture, as a catalog that was written for these pictures has them."""
    joints = body25(annotated) * np.array([DRAWN[1] / ANNOTATED[1], DRAWN[0] / ANNOTATED[0], 1])
    canvas = {"canvas_height": DRAWN[0], "canvas_width": DRAWN[1]}
    return json.dumps(json.loads(write_openpose(joints)) | canvas).encode()


def test_pidm_256_is_trained_at_the_size_that_its_recipe_works_at(tmp_path: Path) -> None:
    run = pidm_256()
    assert isinstance(run.step, PidmStepConfig) and isinstance(run.data.columns, SqueezedPoseTransferColumns)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(run.step.model.to_json()))
    stages = recipes.pidm(weights=str(tmp_path), parser=None, pose=None).stages
    assert {getattr(stage, "size", run.data.size) for stage in stages if stage.name != "encode"} == {run.data.size}
    drawn = {stage.drawn_size for stage in stages if stage.name == "pose_map"}
    assert drawn == {run.data.columns.network_size} == {run.step.model.working_size}


def test_truepose_is_trained_on_the_parses_that_its_recipe_finds(folder: Path, tmp_path: Path) -> None:
    settings = LayoutSettings(size=(128, 96), annotation_size=ANNOTATED, parser="parser_closet", pose="pose_closet")
    dataset = prepared(folder, settings, tmp_path / "shards")
    sample = dataset[0]
    recipe = recipes.truepose_closet().before("synthesize")
    pair = next(iter(deepfashion.read(str(folder), "train")))
    files = {"person": storage.get(pair.source), "pose": storage.get(pair.target)}
    batch = dataclasses.replace(recipe.after("fetch"), batch_size=8).build().run(row_of(recipe, **files))
    assert np.array_equal(batch["person"][0], sample["source"])
    assert np.array_equal(batch["parse"][0], sample["source_parse"]) and sample["source_parse"].any()
    np.testing.assert_allclose(batch["target_keypoints"][0], sample["target_keypoints"], atol=1e-3)


def test_human_diffusion_is_trained_on_the_map_that_its_recipe_reads(tmp_path: Path) -> None:
    root = tmp_path / "multimodal"
    write_dataset("multimodal", str(root), items=2, seed=3, size=DRAWN, split="train")
    sample = prepared(root, LayoutSettings(size=SIZE), tmp_path / "shards")[1]
    data = (root / "segm" / "closet-00000001_segm.png").read_bytes()
    recipe = recipes.text_to_person(
        name="words", size=SIZE, weights="human_diffusion_closet", memory=None, mode="fast", batch_size=1
    ).before("synthesize")
    batch = recipe.after("fetch").build().run(row_of(recipe, pose_map=data))
    assert np.array_equal(batch["regions"][0], sample["parse"])
    assert np.array_equal(batch["frame"][0][2:], (0, 2, 64, 44)) and sample["person"].shape == (*SIZE, 3)

    with Image.open(io.BytesIO(data)) as regions:
        regions.resize((DRAWN[1], DRAWN[0] - 2)).save(root / "segm" / "closet-00000000_segm.png")
    source = find_source(str(root), LayoutSettings(size=SIZE))
    index = prepare_here(plan(source, str(tmp_path / "other"), max_left_out=0.6))
    assert index.left_out == {"pose_map_invalid": 1}
