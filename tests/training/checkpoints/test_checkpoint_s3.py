"""Checkpoints in a real object store."""

from __future__ import annotations

import pytest

from atelier import storage
from atelier.errors import StorageError
from infra.store import StoreServer
from tests.training.checkpoints.tiny import Tiny, assert_same, saved_at, tiny_info
from training.checkpoints import CheckpointStore, Retention

pytestmark = pytest.mark.slow


def test_saved_kept_torn_and_taken_up_in_an_object_store(s3: str) -> None:
    address = f"{s3}/runs/tiny/checkpoints"
    trained = saved_at(CheckpointStore(address, keep=Retention(num_last=2)), 1, 2, 3)
    storage.put(f"{address}/step-00000009/rank-0-0.safetensors", b"half")
    resumed, store = Tiny(seed=1), CheckpointStore(address)
    found = store.resume(resumed.state, tiny_info())
    assert found is not None and found.num_steps_done == 3
    assert_same(resumed.state, trained.state)
    folders = {storage.name(storage.parent(entry.address)) for entry in storage.list(address)}
    assert folders == {"step-00000002", "step-00000003"}


def test_a_store_that_refuses_leaves_the_last_one(
    s3: str, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{s3}/runs/tiny/checkpoints"
    store = CheckpointStore(address)
    tiny = saved_at(store, 1)
    with monkeypatch.context() as patched:
        for key, value in s3_server.environment(s3_server.reader).items():
            patched.setenv(key, value)
        store.save(tiny.state, tiny_info().at(2))
        with pytest.raises(StorageError, match=r"refused the credentials.*the last whole checkpoint is of step 1"):
            store.wait()
    assert CheckpointStore(address).resume(Tiny(seed=1).state, tiny_info()) is not None
