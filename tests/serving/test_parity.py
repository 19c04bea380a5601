"""The same inputs and seed give the same picture online as overnight, bit for bit at equal batch shape and threads."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from atelier import recipes
from atelier.keys import picture_key, rendition_key
from atelier.recipe import Recipe
from atelier.seeds import unit_seed
from serving.models.asked import Answer, Ask
from serving.models.family import ModelFamily
from serving.models.samples import drawn_garment, drawn_person
from serving.settings import ModelSettings
from tests.serving.overnight import made_overnight, units

SEEDS = [unit_seed("online", variant, 0, given=7) for variant in range(3)]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """As it is shipped, rows padded to its own batch shape."""
    return recipes.viton_hd_closet()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {"person": drawn_person(3, (256, 192)), "garment": drawn_garment(4, (256, 192))}


@pytest.fixture(scope="module")
def family() -> ModelFamily:
    return ModelFamily(ModelSettings(recipe="viton_hd_closet"))


@pytest.fixture(scope="module")
def online(family: ModelFamily, files: dict[str, bytes]) -> Answer:
    """Three samples, asked for at once."""
    answer = asyncio.run(family.make(Ask(inputs=files, seeds=tuple(SEEDS))))
    assert answer.refusal is None
    return answer


def test_online_is_the_recipe_called_directly(
    recipe: Recipe, files: dict[str, bytes], online: Answer, tmp_path: Path
) -> None:
    made = recipe.build().run(units(recipe, files, SEEDS, tmp_path))

    assert list(made["error_code"]) == [""] * 3
    assert [sample.sha256 for sample in online.samples] == list(made["picture_sha256"])
    assert [sample.picture for sample in online.samples] == list(made["picture"])
    assert len(set(made["picture_sha256"])) == 3, "three seeds must give three pictures"
    assert online.samples[0].scores["colour_drift"] == pytest.approx(float(made["score_colour_drift"][0]))


@pytest.mark.slow
def test_online_is_what_the_batch_planes_worker_stores(
    recipe: Recipe, files: dict[str, bytes], online: Answer, tmp_path: Path
) -> None:
    outcomes, stored = made_overnight(recipe, files, SEEDS, tmp_path)

    assert stored == [sample.picture for sample in online.samples]
    assert outcomes[0].fingerprint == online.fingerprint and dict(outcomes[0].digests) == dict(online.digests)
    assert tuple(outcomes[0].batch_shape) == online.samples[0].batch_shape
    contents = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    key = picture_key(fingerprint=online.fingerprint, prompt="", seed=SEEDS[0], input_sha256=contents)
    assert outcomes[0].rendition_key == rendition_key(picture=key, rendition=recipe.rendition())


@pytest.mark.slow
def test_a_picture_does_not_depend_on_who_asks_at_the_same_time(
    family: ModelFamily, files: dict[str, bytes], online: Answer
) -> None:
    other = {"person": drawn_person(5, (256, 192)), "garment": drawn_garment(6, (256, 192))}

    async def crowd() -> list[Answer]:
        asks = [Ask(inputs=files, seeds=(SEEDS[0],)), Ask(inputs=other, seeds=(1, 2, 3))]
        return list(await asyncio.gather(*(family.make(ask) for ask in asks)))

    answers = asyncio.run(crowd())
    assert answers[0].samples[0].picture == online.samples[0].picture
    assert len({sample.sha256 for answer in answers for sample in answer.samples}) == 4
