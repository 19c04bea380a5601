"""A checkpoint that is torn or was altered is never taken up; the one before is, and it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from atelier.errors import ConfigError
from tests.training.checkpoints.tiny import Tiny, saved_at, tiny_info
from training.checkpoints import CheckpointStore

TENSORS = "rank-0-0.safetensors"


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / TENSORS).read_bytes())
    data[-5] ^= 1
    (folder / TENSORS).write_bytes(data)


def cut_short(folder: Path) -> None:
    (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-1])


def lose_a_file(folder: Path) -> None:
    (folder / TENSORS).unlink()


def lose_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def cut_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:100])


def alter_the_manifest(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    content["info"]["num_steps_done"] = 5000
    (folder / "manifest.json").write_text(json.dumps(content))


def alter_the_index(folder: Path) -> None:
    index = (folder / "index.json").read_text()
    (folder / "index.json").write_text(index.replace("float32", "float16", 1))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_byte, "must have"),
        (cut_short, "bytes, must hold"),
        (lose_a_file, "is missing"),
        (lose_the_manifest, "never finished"),
        (cut_the_manifest, "is no manifest"),
        (alter_the_manifest, "was altered"),
        (alter_the_index, "must have"),
    ],
)
def test_the_one_before_is_taken_up(
    damage: Callable[[Path], None], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1, 2)
    damage(tmp_path / "step-00000002")
    resumed, store = Tiny(seed=1), CheckpointStore(str(tmp_path))
    found = store.resume(resumed.state, tiny_info())
    assert found is not None and found.num_steps_done == 1
    assert "step-00000002" in caplog.text and said in caplog.text and "removed" in caplog.text
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]
    for number in (1, 2):
        resumed.step(number)
    store.save(resumed.state, tiny_info().at(2))
    store.wait()
    assert CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info()) is not None


@pytest.mark.parametrize(
    ("damage", "said"),
    [(flip_a_byte, "must have"), (cut_short, "bytes, must hold"), (cut_the_manifest, "is no manifest")],
)
def test_where_none_is_whole_nothing_starts_by_itself(
    damage: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1)
    damage(tmp_path / "step-00000001")
    with pytest.raises(ConfigError, match=rf"no checkpoint is whole any more: .*step-00000001.*{said}"):
        CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info())
    assert (tmp_path / "step-00000001" / TENSORS).exists()


def test_one_that_a_killed_writer_left_is_no_loss(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1)
    lose_the_manifest(tmp_path / "step-00000001")
    assert CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info()) is None
    assert list(tmp_path.iterdir()) == []


def test_where_one_was_whole_once_none_is_removed(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1, 2)
    cut_short(tmp_path / "step-00000001")
    lose_the_manifest(tmp_path / "step-00000002")
    with pytest.raises(ConfigError, match=r"no checkpoint is whole any more: .*step-00000001"):
        CheckpointStore(str(tmp_path)).resume(Tiny().state, tiny_info())
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["step-00000001", "step-00000002"]


def test_who_only_reads_removes_nothing(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1, 2)
    flip_a_byte(tmp_path / "step-00000002")
    with pytest.raises(ConfigError, match=r"the checkpoint is damaged; name the step of another one: \[1\]"):
        CheckpointStore(str(tmp_path)).load(Tiny().state)
    assert (tmp_path / "step-00000002" / TENSORS).exists()


def test_what_a_killed_writer_left_is_taken_away(tmp_path: Path) -> None:
    saved_at(CheckpointStore(str(tmp_path)), 1)
    torn = tmp_path / "step-00000009"
    torn.mkdir()
    (torn / "rank-1-0.safetensors").write_bytes(b"half")
    (torn / ".atelier-0123").write_bytes(b"a file that was under way")
    (tmp_path / "notes.txt").write_text("somebody's own")
    store = CheckpointStore(str(tmp_path))
    assert torn.exists() and store.latest() is not None
    store.resume(Tiny().state, tiny_info())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "step-00000001"]
