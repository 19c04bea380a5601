"""The Ray Data job: shards in an object store, made on several workers, read by number from another machine's cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atelier import storage
from atelier.closet.layouts import write_dataset
from atelier.errors import StorageError
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.config import DataConfig
from training.data.prepare import prepare
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import plan
from training.data.shards import ShardDataset
from training.data.sources.closet import ClosetSource
from training.data.sources.finding import LayoutSettings, find_source
from training.data.try_on import TryOnColumns

SIZE = (64, 48)
CLOSET = ClosetConfig(kind="looks", num_samples=6, size=SIZE)


def remote(s3: str) -> str:
    """Six drawn samples in three shards of a store."""
    prepare_here(plan(ClosetSource(config=CLOSET), f"{s3}/shards", rows_per_shard=2))
    return f"{s3}/shards"


@pytest.mark.slow
def test_the_job_makes_what_one_process_makes_and_names_what_it_leaves_out(s3: str, tmp_path: Path) -> None:
    write_dataset("viton_hd", f"{s3}/pairs", items=7, seed=3, size=SIZE, split="train")
    storage.put(f"{s3}/pairs/train/image/00003_00.jpg", b"no picture")
    preparation = plan(find_source(f"{s3}/pairs", LayoutSettings(size=SIZE)), f"{s3}/shards", rows_per_shard=2)
    index = prepare(preparation, num_workers=2)
    assert (index.num_listed, index.num_samples, sum(index.left_out.values())) == (7, 6, 1)
    assert b'"id": "00003_00", "stage": "decode"' in storage.get(f"{s3}/shards/left_out.jsonl")
    assert prepare_here(preparation.into(str(tmp_path / "here"))).shards == index.shards
    assert prepare(preparation) == index, "a second call finds all of it there and starts no Ray"
    config = DataConfig(columns=TryOnColumns(), layout=LayoutSettings(size=SIZE))
    dataset = config.open(f"{s3}/shards", tmp_path / "cache")
    assert dataset.ids(range(6)) == [f"{number:05d}_00" for number in (0, 1, 2, 4, 5, 6)]
    assert dataset[4]["garment"].any()


@pytest.mark.slow
def test_remote_shards_are_fetched_once_and_only_those_asked_for(s3: str, tmp_path: Path) -> None:
    dataset = ShardDataset(remote(s3), tmp_path)
    assert np.array_equal(dataset[3]["person"], draw_sample(CLOSET, 3)["person"])
    fetched = list((tmp_path / "fetched").glob("*.arrow"))
    assert len(fetched) == 1
    storage.delete(f"{s3}/shards/shard-00001.arrow")
    again = ShardDataset(f"{s3}/shards", tmp_path)
    assert np.array_equal(again[2]["person"], draw_sample(CLOSET, 2)["person"])


@pytest.mark.slow
def test_a_remote_shard_that_is_torn_is_never_kept(s3: str, tmp_path: Path) -> None:
    address = f"{remote(s3)}/shard-00002.arrow"
    data = storage.get(address)
    storage.put(address, data[: len(data) // 2])
    with pytest.raises(StorageError, match=r"shard-00002.arrow: the shard is torn: its sha256"):
        ShardDataset(f"{s3}/shards", tmp_path)[5]
    assert not list((tmp_path / "fetched").glob("*.arrow"))
    storage.put(address, data)
    assert ShardDataset(f"{s3}/shards", tmp_path)[5]["person"].any()
