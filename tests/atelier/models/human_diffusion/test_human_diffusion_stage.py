"""The synthesize stage of text_to_person: the model's own pictures, notes on unknown words, digests of all it reads."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from atelier.closet import Look
from atelier.errors import ConfigError, WeightsError
from atelier.memory import Memory, memory_from, read_memory
from atelier.models.diffusion.steps import SamplingStopped
from atelier.models.human_diffusion import HumanDiffusion
from atelier.models.human_diffusion.regions import REGIONS
from atelier.models.human_diffusion.sampling import sample
from atelier.models.layers.pixels import bytes_from_picture
from atelier.recipes import text_to_person
from atelier.seeds import generators
from atelier.stages.base import Batch
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.human_diffusion import SynthesizeHumanDiffusion
from atelier.stages.watch import Watch
from tests.atelier.models.human_diffusion.tiny import SIZE
from tests.atelier.stages.looking import Onlooker

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stage(model: HumanDiffusion, memory: Memory, tmp_path_factory: pytest.TempPathFactory) -> SynthesizeHumanDiffusion:
    folder = tmp_path_factory.mktemp("human_diffusion")
    model.save_pretrained(folder / "weights")
    memory.save(folder / "memory")
    return SynthesizeHumanDiffusion(
        size=SIZE, weights=str(folder / "weights"), memory=str(folder / "memory"), mode="fast"
    )


def _run(
    stage: SynthesizeHumanDiffusion, looks: Sequence[Look], prompts: Sequence[str], watch: Watch | None = None
) -> Batch:
    rows = {
        "item_id": [f"look-{index}" for index in range(len(looks))],
        "variant": [np.int32(0)] * len(looks),
        "task": ["text_to_person"] * len(looks),
        "seed": [np.int64(index) for index in range(len(looks))],
        "prompt": list(prompts),
        "regions": [look.parse_multimodal for look in looks],
    }
    return StageChain([stage.build(CPU)], batch_size=3).run(new_batch(rows), watch=watch)


def test_it_makes_what_a_direct_call_makes(
    stage: SynthesizeHumanDiffusion, looks: list[Look], pose_maps: Tensor
) -> None:
    prompts = [look.caption for look in looks[:3]]
    batch = _run(stage, looks[:3], prompts)
    model = HumanDiffusion.from_pretrained(stage.weights)
    picture = sample(
        model,
        model.encode(prompts, read_memory(str(stage.memory))),
        pose_maps[:3],
        mode="fast",
        generator=generators([0, 1, 2], "human_diffusion_noise"),
    )
    assert np.array_equal(batch["image"], bytes_from_picture(picture).numpy())
    assert batch["image"].dtype == np.uint8 and batch["image"].shape == (3, *SIZE, 3)
    assert batch["error_code"].tolist() == ["", "", ""]
    alone = _run(stage, looks[:1], prompts[:1])
    assert np.array_equal(alone["image"][0], batch["image"][0])


def test_looking_on_changes_no_bit(stage: SynthesizeHumanDiffusion, looks: list[Look]) -> None:
    prompts, onlooker = [look.caption for look in looks[:2]], Onlooker(with_previews=True)
    watched = _run(stage, looks[:2], prompts, onlooker)
    assert np.array_equal(watched["image"], _run(stage, looks[:2], prompts)["image"])
    assert onlooker.steps == [(number, 10) for number in range(1, 11)]
    assert {preview.shape for preview in onlooker.previews} == {(3, 96, 96 * SIZE[1] // SIZE[0], 3)}
    with pytest.raises(SamplingStopped):
        _run(stage, looks[:2], prompts, Onlooker(last=1))


def test_unknown_words_are_a_picture_and_a_note_each(stage: SynthesizeHumanDiffusion, looks: list[Look]) -> None:
    prompts = ["a person in a red hoodie", "a person in a magenta hoodie with navy trousers", "a zorb"]
    batch = _run(stage, looks[:3], prompts)
    known, shade, zorb = batch["notes"]
    assert known == ""
    (line,) = shade.splitlines()
    assert line.startswith("unknown_words: 'magenta', said of top, is a word")
    (line,) = zorb.splitlines()
    assert line.startswith("unknown_words: 'zorb', said of the person, is a word")
    assert batch["error_code"].tolist() == ["", "", ""] and batch["image"].any((1, 2, 3)).all()


def test_words_whose_region_the_map_lacks_are_a_note(stage: SynthesizeHumanDiffusion, looks: list[Look]) -> None:
    shown = {REGIONS[label] for label in np.unique(looks[0].parse_multimodal)}
    assert {"top", "hair"} <= shown and not {"dress", "rompers", "gloves"} & shown
    prompts = [
        "a woman with black hair in a red dress",
        "a woman in a red top, red skin and brown lower clothing, no gloves",
    ]
    batch = _run(stage, [looks[0]] * 2, prompts)
    notes = [[line for line in note.splitlines() if "unknown_words" not in line] for note in batch["notes"]]
    held = ", ".join(region for region in REGIONS[1:] if region in shown)
    said = "is said of dress, which the pose map does not show; it shows"
    assert notes == [[f"words_without_region: 'red dress' {said} {held}"], []]
    assert batch["error_code"].tolist() == ["", ""]


def test_the_digests_are_of_weights_and_memory(stage: SynthesizeHumanDiffusion, memory: Memory, tmp_path: Path) -> None:
    assert set(stage.digests()) == {"human_diffusion", "stylized_memory"}
    memory.save(tmp_path / "again", source="elsewhere")
    other = dataclasses.replace(stage, memory=str(tmp_path / "again"))
    assert other.digests()["human_diffusion"] == stage.digests()["human_diffusion"]
    assert other.digests()["stylized_memory"] != stage.digests()["stylized_memory"]
    settings = stage.identity()["settings"]
    assert settings["mode"] == "fast" and not {"weights", "memory", "clip", "vae"} & set(settings)
    assert set(dataclasses.replace(stage, memory=None).digests()) == {"human_diffusion"}


def test_what_does_not_fit_is_refused_before_the_first_batch(
    stage: SynthesizeHumanDiffusion, memory: Memory, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="mode: is 'slow', must be one of"):
        dataclasses.replace(stage, mode="slow")
    with pytest.raises(ConfigError, match="working_size: is 65x32"):
        dataclasses.replace(stage, size=(65, 32)).build(CPU)
    with pytest.raises(WeightsError, match="is neither a folder"):
        dataclasses.replace(stage, memory=str(tmp_path / "nowhere")).build(CPU)
    foreign = memory_from(
        [("a", 1, "red shirt")],
        text_keys=memory.text_keys[:1],
        image_keys=memory.image_keys[:1],
        values=memory.values[:1],
        encoders_digest="of others",
    )
    foreign.save(tmp_path / "foreign")
    with pytest.raises(ConfigError, match="was made by encoders of others"):
        dataclasses.replace(stage, memory=str(tmp_path / "foreign")).build(CPU)


def test_a_row_with_a_named_pose_goes_from_its_address_to_a_file(stage: SynthesizeHumanDiffusion) -> None:
    recipe = text_to_person(
        name="tiny", size=SIZE, weights=stage.weights, memory=stage.memory, mode="fast", batch_size=2
    )
    assert (recipe.task, recipe.model, recipe.inputs) == ("text_to_person", "human_diffusion", ("prompt", "pose_map"))
    rows = {
        "item_id": ["named", "absent"],
        "variant": [np.int32(0)] * 2,
        "task": ["text_to_person"] * 2,
        "seed": [np.int64(3)] * 2,
        "prompt": ["a person in a zorb and red boots"] * 2,
        "pose_map_address": ["pose:standing", "pose:levitating"],
    }
    batch = recipe.build().run(new_batch(rows))
    assert batch["error_code"].tolist()[0] == "" and batch["error_code"].tolist()[1] != ""
    with Image.open(io.BytesIO(batch["picture"][0])) as made:
        assert b"trainedAlgorithmicMedia" in batch["picture"][0] and made.size[0] > 0
    assert batch["notes"][0].startswith("unknown_words: 'zorb'") and batch["notes"][1] == ""
