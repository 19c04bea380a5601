"""A disk that takes no more: the last checkpoint stays whole, it is said, and training goes on for a stated while."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atelier.errors import StorageError
from tests.training.checkpoints.tiny import Tiny, assert_same, saved_at, tiny_info
from training.checkpoints import CheckpointStore


@contextmanager
def full_disk() -> Iterator[None]:
    """Every file ends at 1,000 bytes: the kernel refuses the write as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of a save and, without the reason, that it failed."""
    records = [record for record in caplog.records if record.name == "training.checkpoints.store"]
    return [":".join(record.getMessage().split(":")[:2]) for record in records]


def test_one_failed_save_is_told_and_the_next_succeeds(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = CheckpointStore(str(tmp_path))
    tiny = saved_at(store, 1)
    with full_disk():
        store.save(tiny.state, tiny_info().at(2))
        tiny.step(1)
        failed = store.save(tiny.state, tiny_info().at(3))
        assert failed is not None and "rank 0" in failed.error and "File too large" in failed.error
        with pytest.raises(StorageError, match=r"could not be saved: .*the last whole checkpoint is of step 1"):
            store.wait()
    # The other one is told by the error.
    assert warnings_in(caplog) == [f"{tmp_path}/step-00000002: could not be saved"]
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]
    store.save(tiny.state, tiny_info().at(4))
    saved = store.wait()
    assert saved is not None and not saved.error
    resumed = Tiny(seed=1)
    found = CheckpointStore(str(tmp_path)).resume(resumed.state, tiny_info())
    assert found is not None and found.num_steps_done == 4
    assert_same(resumed.state, tiny.state)


def test_so_many_failures_in_a_row_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = CheckpointStore(str(tmp_path), max_failed_saves=2)
    tiny = saved_at(store, 1)
    with full_disk():
        store.save(tiny.state, tiny_info().at(2))
        store.save(tiny.state, tiny_info().at(3))
        with pytest.raises(StorageError, match=r"2 saves in a row have failed: .*of step 1"):
            store.save(tiny.state, tiny_info().at(4))
    assert warnings_in(caplog) == [f"{tmp_path}/step-00000002: could not be saved"]
    assert CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info()) is not None


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("no folder")
    store = CheckpointStore(str(tmp_path / "checkpoints"))
    store.save(Tiny().state, tiny_info())
    with pytest.raises(StorageError, match=r"checkpoints/step-00000000.*there is none before it"):
        store.wait()
