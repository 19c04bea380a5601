"""The catalog of finished pictures, which readers see whole or as it was before.

`OUTPUT/catalog/CURRENT` names the tables that hold; it is swapped last. The tables of earlier runs stay: to go back is
to point `CURRENT` at them.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import NotFound, PreconditionFailed, StorageError
from atelier.rows import OUTCOME_SCHEMA
from pipelines.census import Census
from pipelines.damage import damaged, json_object
from pipelines.ledger import Ledger
from pipelines.runs import read_record
from pipelines.unit_ids import text_ids, unit_ids

COLUMNS = ("item_id", "variant", "task", "recipe", "picture", "picture_key", "rendition_key", "plan_key", "seed",
           "fingerprint", "run_id", "finished_at_s")  # fmt: skip
"""Of the published table; `picture` is relative to the output, `run_id` is the run that made it."""

CSV_COLUMNS = ("item_id", "variant", "task", "picture", "seed", "finished_at")
_SCHEMA = pa.schema([OUTCOME_SCHEMA.field(name) for name in COLUMNS])
_MEND = "restore it, or delete catalog/CURRENT, and the next run publishes what the ledger holds of its catalog"
_ATTEMPTS = 5
_ROWS_A_BATCH = 8192


@dataclass(frozen=True, kw_only=True)
class Published:
    """What `CURRENT` says; addresses are relative to the output.

    Args:
        sha256: of the Parquet table.
    """

    run_id: str
    catalog: str
    csv: str
    num_pictures: int
    sha256: str
    published_at_s: float


def publish(output: str, run_id: str) -> Published:
    """Publishes the pictures of a run's catalog, and gives what holds now.

    A run that was limited to the first items leaves what was published of the others. Nothing is written where the same
    is published already, and a catalog of a newer run is never replaced by an older run's. Memory: the table, about 400
    bytes a picture.

    Raises:
        LedgerError: `CURRENT`, or the table that it names, is damaged.
    """
    root = storage.resolve(output)
    ledger, census = Ledger(output), Census(output, run_id)
    table = _finished(ledger, census)
    before = current(output)
    if before is not None and read_record(output, run_id).limit is not None:
        table = pa.concat_tables([table, _others(f"{root}/{before.catalog}", census)])
    content = _parquet(table)
    published = Published(
        run_id=run_id,
        catalog=f"catalog/{run_id}.parquet",
        csv=f"catalog/{run_id}.csv",
        num_pictures=table.num_rows,
        sha256=hashlib.sha256(content).hexdigest(),
        published_at_s=time.time(),
    )
    if before is not None and (before.sha256 == published.sha256 or before.run_id > run_id):
        return before
    storage.put(f"{root}/{published.catalog}", content, content_type="application/vnd.apache.parquet")
    storage.put(f"{root}/{published.csv}", _csv(table), content_type="text/csv; charset=utf-8")
    return _point(f"{root}/catalog/CURRENT", published)


def current(output: str) -> Published | None:
    """What is published, None before the first time."""
    held = _held(f"{storage.resolve(output)}/catalog/CURRENT")
    return held[0] if held else None


def _point(address: str, published: Published) -> Published:
    content = json.dumps(dataclasses.asdict(published), indent=1).encode()
    for _ in range(_ATTEMPTS):
        held = _held(address)
        if held is not None and held[0].run_id > published.run_id:
            return held[0]
        try:
            if held is None:
                storage.put(address, content, if_absent=True, content_type="application/json")
            else:
                storage.put(address, content, if_match=held[1], content_type="application/json")
        except PreconditionFailed:
            continue  # another run published in between: look who is newer
        return published
    raise PreconditionFailed(address, f"changed {_ATTEMPTS} times while run {published.run_id} published; run it again")


def _held(address: str) -> tuple[Published, str] | None:
    try:
        content, token = storage.get_with_token(address)
    except NotFound:
        return None
    held = json_object(address, content, _MEND)
    wanted = {field.name: str if field.type == "str" else int | float for field in dataclasses.fields(Published)}
    if off := [name for name, kind in wanted.items() if not isinstance(held.get(name), kind)]:
        raise damaged(address, f"says nothing that can be used of {', '.join(off)}", _MEND)
    return Published(**{name: held[name] for name in wanted}), token


def _finished(ledger: Ledger, census: Census) -> pa.Table:
    """The finished pictures in the catalog's order."""
    tables = [_SCHEMA.empty_table()]
    places = [np.zeros(0, np.int64)]
    for units, batch in ledger.latest_units(("status", *COLUMNS)):
        at = census.find_planned(units, text_ids(batch.column("plan_key").to_pylist()))
        ok = np.array([status == "ok" for status in batch.column("status").to_pylist()])
        chosen = (at >= 0) & ok
        tables.append(pa.Table.from_batches([batch.filter(pa.array(chosen))]).select(COLUMNS))
        places.append(at[chosen])
    return pa.concat_tables(tables).take(pa.array(np.argsort(np.concatenate(places), kind="stable")))


def _others(address: str, census: Census) -> pa.Table:
    """What was published of units that aren't in the census."""
    filesystem, path = storage.arrow_filesystem(address)
    try:
        with filesystem.open_input_file(path) as source:
            table = pq.read_table(source).select(COLUMNS)
    except FileNotFoundError as error:
        raise damaged(address, "is gone, though catalog/CURRENT names it", _MEND) from error
    except OSError as error:
        raise StorageError(address, f"cannot be read ({error}); if it is damaged, {_MEND}") from error
    except (pa.ArrowException, KeyError) as error:
        raise damaged(address, f"is not a table of pictures ({error})", _MEND) from error
    names = unit_ids(table.column("item_id").to_pylist(), table.column("variant").to_pylist())
    return table.filter(pa.array(census.find(names) < 0))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _csv(table: pa.Table) -> bytes:
    """The table for people: with a byte order mark, which spreadsheets need to know UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    for batch in table.to_batches(max_chunksize=_ROWS_A_BATCH):
        for row in batch.to_pylist():
            finished = datetime.fromtimestamp(row["finished_at_s"], UTC).isoformat(timespec="seconds")
            cells = row | {"finished_at": finished}
            writer.writerow(_inert(cells[name]) for name in CSV_COLUMNS)
    return text.getvalue().encode("utf-8-sig")


def _inert(cell: object) -> object:
    # A spreadsheet runs a cell that starts so as a formula, and ids come from outside; the Parquet twin has them plain.
    return f"'{cell}" if isinstance(cell, str) and re.match(r"[=+\-@\t\r]", cell) else cell
