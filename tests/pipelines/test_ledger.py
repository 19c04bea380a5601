from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atelier.rows import OUTCOME_SCHEMA, Outcome
from pipelines.ledger import Ledger
from pipelines.ledger_writer import LedgerWriter
from pipelines.outcomes import from_table, to_table


def outcome(item_id: str, at_s: float, *, variant: int = 0, **how: object) -> Outcome:
    values = {"task": "try_on", "recipe": "small", "status": "ok", "plan_key": "k"} | how
    return Outcome(item_id=item_id, variant=variant, finished_at_s=at_s, **values)  # type: ignore[arg-type]


def latest(ledger: Ledger) -> dict[tuple[str, int], float]:
    rows = [row for batch in ledger.latest(("item_id", "variant", "finished_at_s")) for row in batch.to_pylist()]
    assert len(rows) == len({(row["item_id"], row["variant"]) for row in rows}), "a unit came out twice"
    return {(row["item_id"], row["variant"]): row["finished_at_s"] for row in rows}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "output"))


def test_outcomes_go_through_arrow_unchanged() -> None:
    whole = Outcome(
        item_id="ä\n1",
        variant=3,
        task="try_on",
        recipe="small",
        status="failed",
        stage="fetch",
        code="access_denied",
        detail="…",
        made=True,
        plan_key="p",
        picture_key="q",
        rendition_key="r",
        picture="pictures/r.jpg",
        seed=2**63 - 1,
        fingerprint="f",
        digests={"b": "2", "a": "1"},
        inputs={"person": "s3://x/y"},
        input_sha256={"person": "0"},
        versions={"torch": "2.13"},
        batch_shape=(4, 64, 48),
        seconds={"fetch": 0.5},
        scores={"face": 0.25},
        run_id="r1",
        finished_at_s=12.5,
    )
    table = to_table([whole, outcome("plain", 1)])
    assert table.schema.equals(OUTCOME_SCHEMA)
    assert from_table(table) == [whole, outcome("plain", 1)]


def test_the_latest_outcome_of_a_unit_counts(ledger: Ledger) -> None:
    ledger.append([outcome("a", 5), outcome("a", 5, variant=1), outcome("b", 1, status="failed")])
    ledger.append([outcome("b", 9), outcome("a", 2, status="failed")])
    ledger.append([outcome("c", 3), outcome("c", 3, status="rejected")])
    assert latest(ledger) == {("a", 0): 5, ("a", 1): 5, ("b", 0): 9, ("c", 0): 3}
    status = {o.item_id: o.status for batch in ledger.latest() for o in from_table(batch)}
    assert status["b"] == "ok" and status["c"] == "rejected", "of equals the one that was written last"


def test_a_picture_that_was_only_found_keeps_what_was_said_when_it_was_made(ledger: Ledger) -> None:
    told = {"made": True, "picture_key": "p1", "scores": {"colour": 3.5}, "notes": ("unknown_words: 'jeans'",)}
    ledger.append([outcome("a", 1, **told), outcome("b", 1, **told), outcome("c", 1, **told)])
    ledger.append([outcome("a", 2, picture_key="p1"), outcome("b", 2, picture_key="p2")])
    ledger.append([outcome("c", 2, status="failed"), outcome("c", 3, picture_key="p1")])

    def said() -> dict[str, tuple[dict[str, float], tuple[str, ...]]]:
        return {o.item_id: (dict(o.scores), o.notes) for batch in ledger.latest() for o in from_table(batch)}

    whole = ({"colour": 3.5}, ("unknown_words: 'jeans'",))
    assert said() == {"a": whole, "b": ({}, ()), "c": whole}, "of another picture nothing is known"
    notes = [row["notes"] for batch in ledger.latest(("notes",)) for row in batch.to_pylist()]
    assert sorted(map(bool, notes)) == [False, True, True]
    ledger.compact(grace_s=0)
    ledger.append([outcome("a", 4, picture_key="p1")])
    ledger.compact(grace_s=0)
    assert said() == {"a": whole, "b": ({}, ()), "c": whole}, "also where the run that made it is compacted away"


def test_a_ledger_without_segments_is_empty(ledger: Ledger) -> None:
    assert list(ledger.latest()) == []
    assert ledger.append([]) == ""
    ledger.compact()
    assert ledger.segments() == ()


def test_the_same_outcomes_written_again_are_the_same_segment(ledger: Ledger) -> None:
    outcomes = [outcome("a", 5), outcome("b", 6)]
    assert ledger.append(outcomes) == pickle.loads(pickle.dumps(ledger)).append(to_table(outcomes))  # noqa: S301
    assert len(ledger.segments()) == 1


def test_compaction_keeps_what_counts_in_few_segments(ledger: Ledger) -> None:
    for second in range(12):
        ledger.append([outcome(f"i{second % 5}", second), outcome("always", second)])
    before, snapshot = latest(ledger), ledger.segments()
    ledger.compact()
    assert latest(ledger) == before
    assert len(ledger.segments()) == 1
    assert all(Path(segment).exists() for segment in snapshot), "a reader of the old set can finish"
    ledger.append([outcome("new", 99)])
    ledger.compact(grace_s=0)
    assert latest(ledger) == before | {("new", 0): 99}
    assert not any(Path(segment).exists() for segment in snapshot)
    assert len(list(Path(ledger.folder).rglob("*.parquet"))) == 3, "the set that counts, and the one before it"


def test_compacting_a_compacted_ledger_writes_nothing(ledger: Ledger) -> None:
    ledger.append([outcome("a", 1)])
    ledger.compact()
    index = Path(ledger.folder, "INDEX.json").read_bytes()
    ledger.compact()
    assert Path(ledger.folder, "INDEX.json").read_bytes() == index and latest(ledger) == {("a", 0): 1}


def test_a_crash_between_the_merged_segment_and_the_index_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    for second in range(4):
        ledger.append([outcome("a", second), outcome(f"b{second}", second)])
    before = latest(ledger)
    shutil.copytree(tmp_path / "output", tmp_path / "copy")
    elsewhere = Ledger(str(tmp_path / "copy"))
    elsewhere.compact()
    (merged,) = elsewhere.segments()
    shutil.copy(merged, f"{ledger.folder}/segments")
    assert latest(ledger) == before
    ledger.compact()
    assert latest(ledger) == before and len(ledger.segments()) == 1


def test_compactions_at_once_and_appends_beside_them_lose_nothing(ledger: Ledger) -> None:
    for second in range(20):
        ledger.append([outcome(f"a{second}", second)])

    def work(number: int) -> None:
        ledger.append([outcome(f"w{number}", 100 + number)])
        ledger.compact()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(8)))
    wanted = {(f"a{second}", 0): float(second) for second in range(20)}
    assert latest(ledger) == wanted | {(f"w{number}", 0): 100.0 + number for number in range(8)}


def test_the_writer_writes_when_there_is_enough_when_it_is_old_and_at_the_end(ledger: Ledger) -> None:
    with LedgerWriter(ledger, min_rows=3, max_age_s=1000) as writer:
        writer.add([outcome("a", 1), outcome("b", 2)])
        writer.flush_if_due()
        assert ledger.segments() == ()
        writer.add([outcome("c", 3)])
        assert len(ledger.segments()) == 1
        writer.add([outcome("d", 4)])
    assert len(ledger.segments()) == 2
    with LedgerWriter(ledger, max_age_s=0) as writer:
        writer.add([outcome("e", 5)])
        assert len(ledger.segments()) == 3


def test_a_writer_that_ends_in_an_error_keeps_what_had_ended(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), LedgerWriter(ledger) as writer:
        writer.add([outcome("a", 1)])
        _ = 1 / 0
    assert latest(ledger) == {("a", 0): 1}


@pytest.mark.slow
def test_a_ledger_in_a_store(s3: str) -> None:
    ledger = Ledger(f"{s3}/output")
    for second in range(5):
        ledger.append([outcome("a", second), outcome(f"b{second}", second)])
    before = latest(ledger)
    ledger.compact()
    ledger.append([outcome("c", 7)])
    ledger.compact()
    assert latest(ledger) == before | {("c", 0): 7}
