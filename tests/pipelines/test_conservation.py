"""Whatever a catalog holds and however runs end: each unit is counted once, and what is ok is published."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.publish import current

if TYPE_CHECKING:
    from tests.pipelines.conftest import Studio

IDS = st.sampled_from(["a", "b", "c", "d", "a (line 3)", "line 2", "", "=x"])
ROWS = st.fixed_dictionaries(
    {
        "item_id": IDS,
        "task": st.sampled_from(["try_on", "try_on", "try_on", "levitate", ""]),
        "person": st.sampled_from(["one.png", "two.png", "missing.png", "ftp://x", ""]),
        "garment": st.sampled_from(["one.png", "one.png", "one.png", ""]),
        "variants": st.sampled_from(["", "1", "3", "0"]),
        "seed": st.sampled_from(["", "7", "-1"]),
    }
)
FATES = st.lists(st.sampled_from(["ok", "ok", "rejected", "failed", ""]), min_size=1, max_size=7)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(st.tuples(st.lists(ROWS, min_size=1, max_size=8), FATES, st.booleans()), min_size=1, max_size=3))
def test_every_unit_is_counted_once(studio: Studio, runs: list[tuple[list[dict[str, str]], list[str], bool]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        here = type(studio)(root)
        here.object("one.png", b"1")
        for rows, fates, touched in runs:
            here.object("two.png", str(random.Random(str(rows)).random()).encode() if touched else b"2")
            here.write_catalog(rows)
            ended: Counter[str] = Counter()

            def fate(unit: Mapping[str, Any], fates: list[str] = fates, ended: Counter[str] = ended) -> str:
                status = fates[ended.total() % len(fates)]
                if "missing" in unit["person_address"] and status == "ok":
                    status = "rejected"  # no stage can make a picture of nothing
                ended[status] += 1
                return status

            summary = here.run(fate)
            planned = summary.run.counts
            assert planned["items"] == len(rows)
            assert summary.units == planned["units"] == planned["ok"] + planned["rejected"] + planned["to_make"]
            assert ended.total() == planned["to_make"]
            assert summary.ok == planned["ok"] + ended["ok"] and summary.made == ended["ok"]
            assert summary.rejected == planned["rejected"] + ended["rejected"]
            assert summary.failed == ended["failed"] + ended[""]
            assert summary.units == summary.ok + summary.rejected + summary.failed
            assert sum(summary.by_code.values()) == summary.rejected + summary.failed
            if not ended[""]:
                now = current(here.output)
                assert now is not None
                table = pq.read_table(f"{here.output}/{now.catalog}", columns=["item_id", "variant"])
                assert len({tuple(row.values()) for row in table.to_pylist()}) == table.num_rows == summary.ok
