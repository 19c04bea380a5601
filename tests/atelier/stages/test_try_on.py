"""The stages of VITON-HD as a recipe runs them: the same picture as the model's own forward pass, row by row."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError, WeightsError
from atelier.images import decode_picture
from atelier.models.layers.pixels import bytes_from_picture, mask_from_bytes, one_hot, picture_from_bytes
from atelier.models.viton_hd import InferenceOptions, VitonHD, draw_segmentation_noise
from atelier.recipe import Recipe
from atelier.seeds import generators
from atelier.stages import viton_hd
from atelier.stages.base import Faults
from atelier.stages.chain import StageChain
from atelier.stages.inspect import Inspect
from atelier.stages.layout import Layout
from atelier.stages.synthesize import Synthesize
from atelier.stages.warp import Warp

Files = Callable[[int], dict[str, bytes]]
Catalog = Callable[[Sequence[Mapping[str, bytes]]], dict[str, np.ndarray]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def chain(recipe: Recipe) -> StageChain:
    return recipe.build()


def test_a_whole_recipe_makes_pictures_and_bad_rows_fail_alone(
    chain: StageChain, files: Files, catalog: Catalog
) -> None:
    nobody = files(2) | {"keypoints": b'{"people": []}'}
    batch = chain.run(catalog([files(1), nobody, files(3)]))
    assert batch["error_code"].tolist() == ["", "no_person", ""]
    assert batch["error_stage"].tolist() == ["", "decode", ""]
    assert decode_picture(batch["picture"][0]).shape == (128, 96, 3)
    for name in ("person", "agnostic_person", "agnostic_parse", "pose_image", "layout", "theta", "image"):
        assert batch[name][0].any() and not batch[name][1].any(), name
    assert batch["picture"][1] == b"" and batch["picture_sha256"][1] == ""
    assert batch["score_misaligned"][1] == 0 and 0 <= batch["score_misaligned"][0] <= 1


def test_only_bytes_ids_and_theta_travel(chain: StageChain, files: Files, catalog: Catalog) -> None:
    batch = chain.run(catalog([files(1), files(2)]))
    large = {name: column for name, column in batch.items() if column.dtype != object and column[0].size > 100}
    assert {column.dtype for column in large.values()} == {np.dtype(np.uint8)}
    assert {column.shape[1:] for column in large.values()} == {(128, 96), (128, 96, 3)}
    assert batch["theta"].dtype == np.float32 and batch["theta"].shape == (2, 50)
    assert batch["layout"].max() <= 6 and batch["agnostic_parse"].max() <= 12


def test_a_picture_does_not_depend_on_its_batch_mates(chain: StageChain, files: Files, catalog: Catalog) -> None:
    together = catalog([files(1), files(2), files(3)])
    swapped = {name: column[[0, 2, 1]] for name, column in together.items()}
    alone = {name: column[:1] for name, column in together.items()}
    first = chain.run(together)["image"]
    assert np.array_equal(chain.run(together)["image"], first)
    for other in (chain.run(swapped)["image"][0], chain.run(alone)["image"][0]):
        # Equal batch shapes (the chain pads) give equal bits.
        assert np.array_equal(other, first[0])


def test_another_batch_size_changes_at_most_rounding(
    recipe: Recipe, chain: StageChain, files: Files, catalog: Catalog
) -> None:
    batch = catalog([files(1), files(2)])
    single = StageChain(chain.stages, batch_size=1)
    for row, image in enumerate(chain.run(batch)["image"]):
        alone = single.run({name: column[row : row + 1] for name, column in batch.items()})["image"][0]
        assert (np.abs(alone.astype(int) - image).max(-1) <= 2).mean() >= 0.999


def test_the_seed_decides_and_nothing_but_the_seed(chain: StageChain, files: Files, catalog: Catalog) -> None:
    batch = catalog([files(1), files(1), files(1)])
    batch["seed"] = np.array([5, 5, 6])
    image = chain.run(batch)["image"]
    assert np.array_equal(image[0], image[1]) and not np.array_equal(image[0], image[2])


def test_three_stages_are_the_model_s_own_pass(recipe: Recipe, weights: str, files: Files, catalog: Catalog) -> None:
    batch = recipe.before("layout").build().run(catalog([files(1), files(2), files(4)]))
    size = recipe.size
    configs = (
        Layout(size=size, weights=weights),
        Warp(size=size, weights=weights),
        Synthesize(size=size, weights=weights),
    )
    image = StageChain([config.build(CPU) for config in configs], batch_size=3).run(batch)["image"]

    model = VitonHD.from_pretrained(weights)
    columns = {name: torch.from_numpy(column) for name, column in batch.items() if column.dtype == np.uint8}
    seeds = batch["seed"].tolist()
    with torch.no_grad():
        whole = model(
            picture_from_bytes(columns["agnostic_person"]),
            picture_from_bytes(columns["pose_image"]),
            picture_from_bytes(columns["garment"]),
            mask_from_bytes(columns["garment_mask"]),
            one_hot(columns["agnostic_parse"], 13),
            draw_segmentation_noise(generators(seeds, "segmentation_noise"), model.config.segmentation_size).float(),
            generator=generators(seeds, "alias_noise"),
        )
    expected = bytes_from_picture(whole.image).numpy()
    assert np.abs(image.astype(int) - expected).max() <= 1


def test_one_process_loads_a_model_once_and_frees_it(weights: str) -> None:
    gc.collect()
    before = len(viton_hd._LOADED)
    size = (128, 96)
    stages = [config.build(CPU) for config in (Layout(size=size, weights=weights), Warp(size=size, weights=weights))]
    stages.append(Layout(size=size, weights=weights, options=InferenceOptions(fold_spectral_norm=False)).build(CPU))
    models = {id(stage._model) for stage in stages}
    assert len(models) == 2
    del stages
    gc.collect()
    assert len(viton_hd._LOADED) <= before


def test_a_config_is_its_weights_digest_and_not_their_path(
    weights: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("copy")
    VitonHD.from_pretrained(weights, options=None).save_pretrained(copy)
    here, there = (Layout(size=(128, 96), weights=folder) for folder in (weights, str(copy)))
    assert here.identity() == there.identity() and len(here.digests()["viton_hd"]) == 64


def test_what_cannot_run_is_refused_when_it_is_built(weights: str) -> None:
    with pytest.raises(ConfigError, match="multiples of 32"):
        Layout(size=(120, 96), weights=weights).build(CPU)
    with pytest.raises(WeightsError, match="no_such_weights"):
        Layout(size=(128, 96), weights="no_such_weights").build(CPU)


def test_scores_know_a_garment_of_the_wrong_colour_and_one_that_is_not_there(weights: str) -> None:
    size = (128, 96)
    inspect = Inspect(size=size, weights=weights).build(CPU)
    garment = np.full((2, *size, 3), (200, 30, 30), np.uint8)
    image = garment.copy()
    image[1] = (30, 30, 200)
    layout = np.full((2, *size), 2, np.uint8)
    columns = {
        "garment": garment,
        "garment_mask": np.ones((2, *size), np.uint8),
        "image": image,
        "layout": layout,
        "theta": np.zeros((2, 50), np.float32),
    }
    tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
    scores = inspect.run_tensors(tensors, Faults())
    drift = scores["score_colour_drift"].tolist()
    assert drift[0] < 0.01 and 40 < drift[1] < 70
    assert scores["score_misaligned"].max() < 1e-6
    tensors["layout"] = torch.zeros(2, *size, dtype=torch.uint8)
    scores = inspect.run_tensors(tensors, Faults())
    assert scores["score_colour_drift"].tolist() == [100, 100] and scores["score_misaligned"].tolist() == [1, 1]
