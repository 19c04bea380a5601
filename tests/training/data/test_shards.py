"""Prepared data comes back as it was put in, whole, or an error says which file is not."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from atelier.errors import CatalogError, ConfigError, NotFound, StorageError
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.config import DataConfig
from training.data.look import LookColumns
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import plan
from training.data.shards import ShardDataset
from training.data.shards.columns import Column
from training.data.shards.file import ShardReader, pack
from training.data.sources.closet import ClosetSource
from training.data.try_on import TryOnColumns

LOOKS = ClosetConfig(kind="looks_and_negatives", num_samples=5, size=(32, 32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five samples in three shards."""
    prepare_here(plan(ClosetSource(config=LOOKS), str(tmp_path / "shards"), rows_per_shard=2))
    return tmp_path / "shards"


@pytest.fixture
def dataset(folder: Path, tmp_path: Path) -> ShardDataset:
    return ShardDataset(str(folder), tmp_path / "cache")


def test_samples_are_the_drawn_ones_by_number(dataset: ShardDataset) -> None:
    assert dataset.num_samples == 5
    assert dataset.ids([4, 0]) == [LOOKS.sample_id(4), LOOKS.sample_id(0)]
    for index in (4, 0, 3):
        drawn = draw_sample(LOOKS, index)
        sample = dataset[index]
        assert sample.keys() == drawn.keys() == set(dataset.column_names)
        assert all(np.array_equal(sample[name], value) for name, value in drawn.items())
        assert all(sample[name].dtype == value.dtype and sample[name].flags.writeable for name, value in drawn.items())


def test_numbers_beyond_the_last_sample_are_refused(dataset: ShardDataset) -> None:
    with pytest.raises(IndexError, match=r"sample 5: .* has 5"):
        dataset[5]


def test_a_data_set_crosses_to_another_process(dataset: ShardDataset) -> None:
    first = dataset[0]["person"]
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301  our own bytes
    assert np.array_equal(again[0]["person"], first)


def test_every_kind_of_column_comes_back(tmp_path: Path) -> None:
    sample = {
        "caption": np.array("a red coat, über knee-length"),
        "mask": np.eye(4, dtype=np.uint8),
        "latent": np.arange(6, dtype=np.float16).reshape(1, 2, 3),
        "category": np.array(3, dtype=np.int64),
    }
    packed = pack([("a", sample), ("b", sample)])
    path = tmp_path / "shard.arrow"
    path.write_bytes(packed.data)
    back = ShardReader(path, packed.columns, 2).sample(1)
    for name, value in sample.items():
        assert Column.of(name, back[name]) == Column.of(name, value)
        assert np.array_equal(back[name], value)


def test_any_reader_of_arrow_sees_tensors(folder: Path) -> None:
    with pa.memory_map(str(folder / "shard-00000.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.schema.field("person").type == pa.fixed_shape_tensor(pa.uint8(), (32, 32, 3))


def test_digest_tells_of_the_samples_alone(dataset: ShardDataset, tmp_path: Path) -> None:
    def digest(config: ClosetConfig, name: str) -> str:
        return prepare_here(plan(ClosetSource(config=config), str(tmp_path / name), rows_per_shard=2)).digest

    assert digest(LOOKS, "elsewhere") == dataset.digest
    assert digest(ClosetConfig(kind="looks_and_negatives", num_samples=5, size=(32, 32), seed=1), "o") != dataset.digest


@pytest.mark.parametrize("damage", ["cut", "flipped", "absent"])
def test_a_damaged_shard_is_named(folder: Path, tmp_path: Path, damage: str) -> None:
    path = folder / "shard-00001.arrow"
    data = path.read_bytes()
    flipped = data[:700] + bytes([data[700] ^ 1]) + data[701:]
    path.unlink()
    if damage != "absent":
        path.write_bytes(data[:-50] if damage == "cut" else flipped)
    dataset = ShardDataset(str(folder), tmp_path / "cache")
    assert dataset[0]["person"].any()
    with pytest.raises(StorageError, match=r"shard-00001.arrow: the shard is (torn: .* index says|absent)") as error:
        dataset[2]
    assert isinstance(error.value, NotFound) == (damage == "absent")


def test_an_index_that_is_absent_torn_or_edited_is_refused(folder: Path, tmp_path: Path) -> None:
    index = folder / "index.json"
    fields = json.loads(index.read_bytes())
    for content, reason in (
        (json.dumps(fields)[:-40], "is torn or not JSON"),
        (json.dumps(fields | {"format": "other-2"}), "format: is 'other-2', must be"),
        (json.dumps({"a": 1}), r"index.json: is no index of prepared data: lacks \['columns', .*; must be what"),
        (json.dumps([]), r"index.json: is no index of prepared data: holds a list; must be what .*'atelier-shards-1'"),
        (json.dumps(fields | {"shards": [{"name": "a"}]}), "its columns or shards are not described as .*; must be"),
        (json.dumps(fields | {"shards": fields["shards"][:2]}), "has been changed by hand"),
    ):
        index.write_text(content)
        with pytest.raises(CatalogError, match=reason):
            ShardDataset(str(folder), tmp_path / "cache")
    index.unlink()
    with pytest.raises(CatalogError, match="holds no prepared data"):
        ShardDataset(str(folder), tmp_path / "cache")


def test_data_that_the_step_cannot_read_is_refused(folder: Path, tmp_path: Path) -> None:
    larger = DataConfig(closet=ClosetConfig(kind="looks", num_samples=1, size=(64, 48)), columns=LookColumns())
    with pytest.raises(ConfigError, match="column 'person': is 32x32 pixels, the run works at 64x48"):
        larger.open(str(folder), tmp_path / "cache")
    try_ons = DataConfig(closet=LOOKS, columns=TryOnColumns())
    with pytest.raises(ConfigError, match=r"lacks \['garment', 'garment_mask'\], which TryOnColumns reads"):
        try_ons.open(str(folder), tmp_path / "cache")


@contextmanager
def disk_full_beyond(num_bytes: int) -> Iterator[None]:
    """No file of this process may grow longer: what a full disk does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_preparing_and_the_next_try_goes_on(tmp_path: Path) -> None:
    preparation = plan(ClosetSource(config=LOOKS), str(tmp_path / "shards"), rows_per_shard=2)
    with disk_full_beyond(4096), pytest.raises(StorageError, match=r"shard-00000.arrow: File too large"):
        prepare_here(preparation)
    with pytest.raises(CatalogError, match="holds no prepared data"):
        ShardDataset(str(tmp_path / "shards"), tmp_path / "cache")
    assert prepare_here(preparation).num_samples == 5
