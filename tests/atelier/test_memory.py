"""The stylized memory: found by region and words, ties by row id, whole or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from atelier.errors import ConfigError, WeightsError
from atelier.memory import ROWS_NAME, Memory, memory_from, read_memory
from atelier.models import registry

TOP, PANTS, SHOES = 1, 5, 11
WIDTH = 8


def _unit(*values: float) -> torch.Tensor:
    return F.normalize(F.pad(torch.tensor(values), (0, WIDTH - len(values))), dim=0)


def _memory(entries: list[tuple[str, int, str]], keys: list[torch.Tensor]) -> Memory:
    stacked = torch.stack(keys)
    values = torch.arange(len(keys) * 4 * 3, dtype=torch.float32).view(len(keys), 4, 3)
    return memory_from(entries, text_keys=stacked, image_keys=stacked, values=values, encoders_digest="made by")


@pytest.fixture
def memory() -> Memory:
    entries = [
        ("a", TOP, "red shirt"),
        ("b", TOP, "blue shirt"),
        ("c", PANTS, "red trousers"),
        ("c", TOP, "red shirt"),
        ("d", TOP, "red shirt"),
    ]
    red, blue = _unit(1.0), _unit(0.0, 1.0)
    return _memory(entries, [red, blue, red, red, red])


def test_only_a_regions_own_rows_are_found_and_equals_come_by_row_id(memory: Memory) -> None:
    rows, scores = memory.search(torch.stack([_unit(1.0), _unit(1.0)]), [TOP, PANTS], 3)
    assert rows.tolist() == [[0, 3, 4], [2, -1, -1]]
    assert scores[0].tolist() == [1.0, 1.0, 1.0]
    assert scores[1].isinf().tolist() == [False, True, True]


def test_a_region_without_rows_gives_none(memory: Memory) -> None:
    rows, scores = memory.search(_unit(1.0)[None], [SHOES], 2)
    assert rows.tolist() == [[-1, -1]] and bool(scores.isinf().all())


def test_an_items_own_crops_are_passed_over(memory: Memory) -> None:
    query = _unit(1.0)[None].expand(3, -1)
    rows, _ = memory.search(query, [TOP] * 3, 4, excluded=["a", "c", "unheard of"])
    assert rows.tolist() == [[3, 4, 1, -1], [0, 4, 1, -1], [0, 3, 4, 1]]


def test_search_is_exact_whatever_is_asked_beside_it() -> None:
    generator = torch.Generator().manual_seed(0)
    keys = F.normalize(torch.randn(400, WIDTH, generator=generator), dim=1)
    keys[200:] = keys[:200]  # every key twice: ties everywhere
    memory = _memory([(str(row), TOP, "") for row in range(400)], list(keys))
    queries = F.normalize(torch.randn(7, WIDTH, generator=generator), dim=1)
    rows, _ = memory.search(queries, [TOP] * 7, 6)
    for query, found in zip(queries, rows.tolist(), strict=True):
        alone, _ = memory.search(query[None], [TOP], 6)
        assert alone.tolist() == [found]
        scores = (keys.double() @ query.double()).round(decimals=6).tolist()
        assert found == sorted(range(400), key=lambda row: (-scores[row], row))[:6]


def test_words_and_pictures_share_in_a_similarity() -> None:
    red, blue = _unit(1.0), _unit(0.0, 1.0)
    memory = memory_from(
        [("a", TOP, "red"), ("b", TOP, "blue")],
        text_keys=torch.stack([red, blue]),
        image_keys=torch.stack([blue, red]),
        values=torch.zeros(2, 1, 1),
        encoders_digest="",
    )
    for image_share, best in ((0.0, 0), (0.4, 0), (0.6, 1), (1.0, 1)):
        assert memory.search(red[None], [TOP], 1, image_share=image_share)[0].item() == best


def test_a_folder_gives_the_memory_back_under_one_digest(memory: Memory, tmp_path: Path) -> None:
    digest = memory.save(tmp_path / "m", source="a catalog")
    again = read_memory(tmp_path / "m")
    assert again.rows.equals(memory.rows) and torch.equal(again.values, memory.values)
    assert again.encoders_digest == memory.encoders_digest
    assert registry.digest(str(tmp_path / "m")) == digest == again.save(tmp_path / "again", source="a catalog")
    other = _memory([("z", TOP, "red shirt")], [_unit(1.0)])
    assert other.save(tmp_path / "other") != digest


def test_rows_that_the_vectors_are_not_of_are_refused(memory: Memory, tmp_path: Path) -> None:
    memory.save(tmp_path)
    rows = tmp_path / ROWS_NAME
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"rows\.arrow: sha256 is"):
        read_memory(tmp_path)
    rows.unlink()
    with pytest.raises(WeightsError, match="is missing"):
        read_memory(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model": "pidm"}))
    with pytest.raises(WeightsError, match="'pidm', must be 'stylized_memory'"):
        read_memory(tmp_path)


def test_rows_and_vectors_must_be_as_many(memory: Memory) -> None:
    with pytest.raises(ConfigError, match="5 rows with"):
        Memory(
            rows=memory.rows,
            text_keys=memory.text_keys[:4],
            image_keys=memory.image_keys,
            values=memory.values,
            encoders_digest="",
        )


def test_an_empty_memory_finds_nothing() -> None:
    memory = memory_from(
        [],
        text_keys=torch.zeros(0, WIDTH),
        image_keys=torch.zeros(0, WIDTH),
        values=torch.zeros(0, 1, 1),
        encoders_digest="",
    )
    assert memory.search(_unit(1.0)[None], [TOP], 2)[0].tolist() == [[-1, -1]]
