"""An output whose own files are damaged: one sentence that names the file and says what to do, and doing it helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atelier.errors import AtelierError, LedgerError
from pipelines.__main__ import main
from pipelines.ledger import Ledger
from pipelines.publish import current

if TYPE_CHECKING:
    from tests.pipelines.conftest import Studio


@pytest.fixture
def output(studio: Studio) -> Path:
    studio.write_items("a", "b")
    studio.run()
    return Path(studio.output)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "holds a JSON list, must hold an object"),
        (b'{"segments": "x", "replaced": {}}', "has no list of names under 'segments'"),
        (b'{"segments": [], "replaced": {"x": "y"}}', "has no times by name under 'replaced'"),
    ],
)
def test_an_index_that_is_damaged_is_named_and_may_be_deleted(
    content: bytes, said: str, output: Path, studio: Studio
) -> None:
    index = output / "ledger" / "INDEX.json"
    before = studio.plan().counts
    index.write_bytes(content)
    with pytest.raises(LedgerError) as caught:
        studio.plan()
    assert str(caught.value).startswith(f"{index}: {said}") and "restore it, or delete it" in str(caught.value)
    index.unlink()
    assert studio.plan().counts == before


def _cut(segment: Path) -> None:
    segment.write_bytes(segment.read_bytes()[:-9])


def _unpackable(segment: Path) -> None:
    content = bytearray(segment.read_bytes())
    content[4:200] = b"x" * 196
    segment.write_bytes(content)


def _of_something_else(segment: Path) -> None:
    pq.write_table(pa.table({"item_id": ["a"]}), segment)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda segment: segment.write_bytes(b"junk"), "is not a Parquet file"),
        (_cut, "is not a Parquet file"),
        (_unpackable, "cannot be read"),
        (_of_something_else, "is no segment of a ledger, it has no variant, status, finished_at_s"),
        (lambda segment: segment.unlink(), "is gone"),
    ],
)
def test_a_segment_that_is_damaged_is_named_and_may_be_deleted(
    harm: Callable[[Path], object], said: str, output: Path, studio: Studio
) -> None:
    (name,) = Ledger(str(output)).segments()
    segment = Path(name)
    harm(segment)
    with pytest.raises(AtelierError) as caught:
        studio.plan()
    assert str(caught.value).startswith(f"{segment}: {said}")
    assert "restore it, or delete it and ledger/INDEX.json" in str(caught.value)
    segment.unlink(missing_ok=True)
    (output / "ledger" / "INDEX.json").unlink()
    assert studio.run().ok == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"junk", "is not JSON"),
        (b"{}", "says nothing that can be used of run_id"),
        (b'{"run_id": 3}', "says nothing that can be used of run_id"),
    ],
)
def test_a_pointer_that_is_damaged_is_named_and_may_be_deleted(
    content: bytes, said: str, output: Path, studio: Studio
) -> None:
    before = current(studio.output)
    pointer = output / "catalog" / "CURRENT"
    pointer.write_bytes(content)
    with pytest.raises(LedgerError) as caught:
        studio.run()
    assert str(caught.value).startswith(f"{pointer}: {said}") and "or delete catalog/CURRENT" in str(caught.value)
    pointer.unlink()
    studio.run()
    after = current(studio.output)
    assert before is not None and after is not None and after.sha256 == before.sha256


@pytest.mark.parametrize("said", ["is not a table of pictures", "is gone"])
def test_a_published_table_that_is_damaged_is_named(said: str, output: Path, studio: Studio) -> None:
    now = current(studio.output)
    assert now is not None
    table = output / now.catalog
    if said == "is gone":
        table.unlink()
    else:
        table.write_bytes(b"junk")
    with pytest.raises(LedgerError) as caught:
        studio.run(limit=1)
    assert str(caught.value).startswith(f"{table}: {said}")


def test_the_command_says_it_in_one_line(output: Path, studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    (output / "ledger" / "INDEX.json").write_text("{")
    assert main(["plan", "closet", "--catalog", studio.catalog, "--output", str(output)]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"ERROR: LedgerError: {output}/ledger/INDEX.json: is not JSON")


def test_a_run_looks_at_the_pointer_before_it_begins(
    output: Path, studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    (output / "catalog" / "CURRENT").write_text("junk")
    before = sorted((output / "runs").iterdir())
    assert main(["run", "closet", "--catalog", studio.catalog, "--output", str(output)]) == 1
    assert f"{output}/catalog/CURRENT: is not JSON" in capsys.readouterr().err
    assert sorted((output / "runs").iterdir()) == before


@pytest.mark.parametrize(("content", "said"), [(b"{", "is not JSON"), (b'{"limit": 3}', "is no record of a run")])
def test_a_record_of_a_run_that_is_damaged_is_named_and_a_newer_run_helps(
    content: bytes, said: str, output: Path, studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = (output / "runs").iterdir()
    record.write_bytes(content)
    assert main(["report", str(output), "--json"]) == 1
    told = capsys.readouterr().err
    assert str(record) in told and said in told and "run the job again" in told

    studio.run()
    assert main(["report", str(output), "--json"]) == 0
