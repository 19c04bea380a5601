"""PIDM as a stage: a row's picture is its own, squeezed networks are fed as they were trained, and notes are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError
from atelier.geometry.pose_map import pose_map
from atelier.models.diffusion.steps import SamplingStopped
from atelier.models.pidm import Pidm, pidm_closet
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.pidm import SynthesizePidm
from atelier.stages.pose_map import PoseMap
from tests.atelier.stages.looking import Onlooker
from tests.parity.fill import fill, keys_of

SIZE = (32, 24)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    small = replace(
        pidm_closet(), patch=1, width=8, multipliers=(1, 2), texture_strides=(2,), num_groups=4, working_size=SIZE
    )
    model = Pidm(small)
    for name, network in model.named_children():
        network.load_state_dict(fill(keys_of(model.get_submodule(name))))
    folder = tmp_path_factory.mktemp("pidm")
    model.save_pretrained(folder)
    return str(folder)


def _rows(count: int, **columns: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    keypoints = np.zeros((25, 3), np.float32)
    keypoints[[1, 2, 3, 8]] = [(12, 6, 1), (6, 7, 1), (4, 16, 1), (12, 18, 1)]
    given: dict[str, Any] = {
        "item_id": [f"item-{row}" for row in range(count)],
        "variant": np.zeros(count, np.int32),
        "task": ["pose_transfer"] * count,
        "seed": np.arange(count),
        "person": rng.integers(0, 256, (count, *SIZE, 3), dtype=np.uint8),
        "target_keypoints": np.stack([keypoints] * count),
        **columns,
    }
    return new_batch(given)


def _chain(weights: str, *, batch_size: int = 3, drawn: tuple[int, int] | None = None, **settings: Any) -> StageChain:
    synthesize = SynthesizePidm(size=SIZE, weights=weights, network_size=drawn, mode="fast", **settings)
    return StageChain([PoseMap(size=SIZE, drawn_size=drawn).build(CPU), synthesize.build(CPU)], batch_size=batch_size)


def test_a_picture_is_its_rows_alone(weights: str) -> None:
    together = _chain(weights).run(_rows(3))
    rows = {name: value[1:2] for name, value in _rows(3).items()}
    alone = _chain(weights).run(rows)
    assert together["image"].shape == (3, *SIZE, 3) and together["image"].dtype == np.uint8
    difference = np.abs(together["image"][1].astype(int) - alone["image"][0])
    assert (difference <= 2).mean() > 0.999
    assert (together["image"][0] != together["image"][2]).mean() > 0.1
    other_seed = _chain(weights).run(_rows(1, seed=np.array([7])))
    assert (other_seed["image"][0] != together["image"][0]).mean() > 0.1


def test_looking_on_changes_no_bit_and_shows_what_is_coming(weights: str) -> None:
    onlooker = Onlooker(with_previews=True)
    watched = _chain(weights).run(_rows(2), watch=onlooker)
    assert np.array_equal(watched["image"], _chain(weights).run(_rows(2))["image"])
    assert onlooker.steps == [(number, 10) for number in range(1, 11)]
    last = onlooker.previews[-1]
    assert last.shape == (3, 96, 72, 3) and last.dtype == np.uint8, "rows of the batch's shape, its padding too"
    # Three times as many pixels on a side: each block of them is one of the picture's own.
    difference = np.abs(last[:2, 1::3, 1::3].astype(int) - watched["image"])
    assert (difference <= 16).mean() > 0.9
    assert (np.abs(onlooker.previews[0][:2, 1::3, 1::3].astype(int) - watched["image"]) <= 16).mean() < 0.5


def test_it_stops_before_the_next_call_of_its_network(weights: str) -> None:
    chain, onlooker, calls = _chain(weights), Onlooker(last=4), []
    unet: torch.nn.Module = chain.stages[-1]._model.unet  # pyright: ignore[reportAttributeAccessIssue]
    with unet.register_forward_pre_hook(lambda *_: calls.append(1)), pytest.raises(SamplingStopped) as stopped:
        chain.run(_rows(2), watch=onlooker)
    assert (stopped.value.num_done, stopped.value.num_steps, len(calls)) == (4, 10, 4)


def test_scales_and_guidance_are_settings(weights: str) -> None:
    settings: list[dict[str, Any]] = [{}, {"guidance": "none"}, {"style_scale": 4.0}]
    guided, unguided, strong = (_chain(weights, **chosen).run(_rows(1))["image"] for chosen in settings)
    assert (guided != unguided).any() and (guided != strong).any()
    made = [SynthesizePidm(size=SIZE, weights=weights, mode=mode).identity() for mode in ("fast", "quality")]
    assert made[0] != made[1] and "weights" not in made[0]["settings"] and made[0]["digests"]["pidm"]
    with pytest.raises(ConfigError, match="mode: is 'best'"):
        SynthesizePidm(size=SIZE, weights=weights, mode="best")


def test_a_face_that_the_source_does_not_show_is_noted(weights: str) -> None:
    parse = np.zeros((2, *SIZE), np.uint8)
    parse[0, 4:8, 8:12] = 13
    noted = _chain(weights).run(_rows(2, parse=parse))["notes"].tolist()
    assert noted[0] == "" and noted[1].startswith("face_not_visible: person: shows no face")
    assert _chain(weights).run(_rows(2))["notes"].tolist() == ["", ""]


def test_a_squeezed_network_gets_picture_and_pose_at_its_own_size(weights: str) -> None:
    square = (32, 32)
    batch = _rows(1)
    drawn = PoseMap(size=SIZE, drawn_size=square).build(CPU).run_row({"target_keypoints": batch["target_keypoints"][0]})
    squeezed = batch["target_keypoints"][0] * np.array([32 / 24, 1, 1], np.float32)
    assert np.array_equal(drawn["pose_map"], pose_map(squeezed, square))
    made = _chain(weights, drawn=square).run(batch)
    assert made["pose_map"].shape == (1, *square, 20) and made["image"].shape == (1, *SIZE, 3)


def test_a_size_that_the_network_cannot_halve_is_refused_when_it_is_built(weights: str) -> None:
    with pytest.raises(ConfigError, match="working_size: is 33x24"):
        SynthesizePidm(size=(33, 24), weights=weights).build(CPU)
