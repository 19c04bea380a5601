"""The parse stage in a chain: given maps, found maps, and rows without a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.closet import draw_flat, draw_look, outfit_for
from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.parsing.labels import CIHP
from atelier.models.parsing.networks import STEM, ParsingNet
from atelier.models.registry import digest
from atelier.stages.base import Batch
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.parse import Parse, ParseStage
from atelier.weights import write_folder

SIZE = (64, 64)
CPU = torch.device("cpu")
FACE = CIHP.index("face")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A parser that finds a face everywhere."""
    network = ParsingNet(ParsingNetConfig(input_size=SIZE, widths=(8, 8, 8, 8, 8), decoder_widths=(8,), num_classes=20))
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
        network.head.bias[FACE] = 1
    write_folder(tmp_path, network.config.to_json(), {STEM: network.state_dict()})
    return tmp_path


def batch(maps: list[np.ndarray | None], size: tuple[int, int] = SIZE) -> Batch:
    rows = len(maps)
    return new_batch(
        {
            "item_id": [f"item{row}" for row in range(rows)],
            "variant": np.zeros(rows, np.int32),
            "task": ["try_on"] * rows,
            "seed": np.arange(rows),
            "person": np.full((rows, *size, 3), 128, np.uint8),
            "given_parse": np.stack([np.zeros(size, np.uint8) if m is None else m for m in maps]),
            "has_parse": np.array([m is not None for m in maps]),
        }
    )


def person_map(label: int = FACE, side: int = 32) -> np.ndarray:
    parse = np.zeros(SIZE, np.uint8)
    parse[:side, :side] = label
    return parse


def test_given_maps_go_through_untouched_and_others_are_found(weights: Path) -> None:
    given = person_map()
    before = batch([given, None])
    chain = StageChain([Parse(size=SIZE, weights=str(weights)).build(CPU)], batch_size=4)
    after = chain.run(before)
    assert np.array_equal(after["parse"][0], given)
    assert (after["parse"][1] == FACE).all() and after["parse"].dtype == np.uint8
    assert after["error_code"].tolist() == ["", ""]
    assert np.array_equal(before["given_parse"][0], given)


def test_no_model_runs_where_every_row_has_its_map(weights: Path) -> None:
    stage = Parse(size=SIZE, weights=str(weights)).build(CPU)
    parser = stage._parser
    assert parser is not None
    calls: list[int] = []
    parser.register_forward_hook(lambda *_: calls.append(1))
    chain = StageChain([stage], batch_size=2)
    chain.run(batch([person_map(), person_map()]))
    assert not calls
    chain.run(batch([person_map(), None]))
    assert calls == [1]


def test_a_row_without_a_person_fails_alone() -> None:
    stage = ParseStage(Parse(size=SIZE, weights=None), CPU)
    maps = [person_map(), np.zeros(SIZE, np.uint8), person_map(label=9), person_map(side=3), None]
    after = StageChain([stage], batch_size=5).run(batch(maps))
    assert after["error_code"].tolist() == ["", "no_person", "no_person", "no_person", "parse_needed"]
    assert set(after["error_stage"][1:]) == {"parse"} and all(after["error_rejected"][1:])
    assert "hardly any face, hair or skin" in after["error_detail"][2]
    assert "0.2% of the picture" in after["error_detail"][3] and "at least 1%" in after["error_detail"][3]
    assert (after["parse"][1:] == 0).all() and after["parse"][0].any()


def test_a_given_map_of_a_picture_without_a_person_is_refused_where_it_is_checked() -> None:
    size = (256, 192)
    look = draw_look(person=1_000_000, outfit=outfit_for(1_000_000), pose=1_000_000, size=size)
    product = draw_flat(garment=10_000_000, size=size).image
    before = batch([look.parse_cihp, look.parse_cihp], size) | {"person": np.stack([look.image, product])}
    codes = {}
    for check in (True, False):
        config = Parse(size=size, weights="parser_closet", check_given=check)
        after = StageChain([config.build(CPU)], batch_size=2).run(before)
        codes[check] = after["error_code"].tolist()
        assert np.array_equal(after["parse"][0], look.parse_cihp)
    assert codes == {True: ["", "no_person"], False: ["", ""]}


def test_identity_is_the_weights_digest_not_their_path(weights: Path) -> None:
    config = Parse(size=SIZE, weights=str(weights))
    assert config.digests() == {"parse": digest(str(weights))}
    assert str(weights) not in str(config.identity())
    assert Parse(size=SIZE, weights=None).digests() == {}


def test_the_shipped_parser_finds_nobody_where_nobody_is() -> None:
    height, width = (256, 192)
    light = np.linspace(236, 214, height).astype(np.uint8)[:, None, None]
    empty = np.broadcast_to(light, (height, width, 3))
    products = [draw_flat(garment=garment, size=(height, width)).image for garment in range(10_000_000, 10_000_010)]
    people = [
        draw_look(person=n, outfit=outfit_for(n), pose=n, size=(height, width)).image
        for n in range(1_000_000, 1_000_008)
    ]
    pictures = np.stack([empty, 40 + empty // 8, *products, *people])
    rows = len(pictures)
    before = batch([None] * rows) | {"person": pictures, "given_parse": np.zeros((rows, height, width), np.uint8)}
    stage = Parse(size=(height, width), weights="parser_closet").build(CPU)

    after = StageChain([stage], batch_size=rows).run(before)

    nobody = 2 + len(products)
    assert after["error_code"].tolist() == ["no_person"] * nobody + [""] * len(people)
    assert all("are person and garment swapped?" in detail for detail in after["error_detail"][:nobody])
