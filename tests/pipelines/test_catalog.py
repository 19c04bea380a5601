from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atelier.errors import CatalogError
from atelier.rows import Item
from pipelines.catalog import BadRow, Catalog, json_schema


def rows_of(path: Path) -> list[Item | BadRow]:
    return [row for batch in Catalog(str(path)).batches() for row in batch]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def bad(row: Item | BadRow) -> BadRow:
    assert isinstance(row, BadRow), row
    return row


def test_a_csv_row_becomes_an_item_with_absolute_addresses(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c.csv",
        "item_id,task,person,garment,prompt,seed,variants,truth\n"
        "00042,try_on,people/a.png,s3://bucket/g.png,  ,7,2,truth.png\n",
    )
    catalog = Catalog(str(path))
    assert catalog.ignored_columns == ("truth",)
    assert next(catalog.batches()) == [
        Item(
            item_id="00042",
            task="try_on",
            inputs={"person": f"{tmp_path}/people/a.png", "garment": "s3://bucket/g.png"},
            seed=7,
            variants=2,
            line=2,
        )
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfitem_id,task\r\n\r\n007,try_on\r\n  \r\n",
        b"item_id;task\n\n007;try_on",
        b'"item_id"\t"task"\n\n"007"\t"try_on"\n',
        "item_id,task\n\n007,try_on\n".encode("utf-16"),
    ],
    ids=["byte order mark, CRLF and blank lines", "semicolons, no last newline", "tabs and quotes", "UTF-16"],
)
def test_csv_as_spreadsheets_write_it(tmp_path: Path, content: bytes) -> None:
    assert rows_of(written(tmp_path / "c.csv", content)) == [Item(item_id="007", task="try_on", inputs={}, line=3)]


def test_a_quote_left_open_costs_its_own_row_only(tmp_path: Path) -> None:
    lines = ["item_id,task", "a,try_on", 'b,"open', "c,try_on", '"d,try_on', *(f"e{n},try_on" for n in range(5000))]
    rows = rows_of(written(tmp_path / "c.csv", "\n".join(lines) + "\n"))
    assert [(row.line, row.faults[0].code) for row in rows if isinstance(row, BadRow)] == [
        (3, "bad_row"),
        (5, "bad_row"),
    ]
    assert [row.item_id for row in rows if isinstance(row, Item)] == ["a", "c", *(f"e{n}" for n in range(5000))]


def test_a_cell_may_hold_lines_and_lines_are_counted(tmp_path: Path) -> None:
    first, second = rows_of(written(tmp_path / "c.csv", 'item_id,task,prompt\na,try_on,"red\ndress"\nb,try_on,x\n'))
    assert isinstance(first, Item) and first.prompt == "red\ndress"
    assert (first.line, second.line) == (2, 4)


def test_every_fault_of_every_bad_row_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    content = (
        b"item_id,task,person,seed,variants\n"
        b"a,,https://shop/x.png,-1,0\n"
        b",try_on,,,\n"
        b"b,try_on\n"
        b"\xff,try_on,,,\n"
        b"c,try_on,ftp://x,,\n"
        b"good,try_on,x.png,,\n"
    )
    a, nameless, short, undecodable, address, good = rows_of(written(tmp_path / "c.csv", content))
    assert [(fault.field, fault.value, fault.code) for fault in bad(a).faults] == [
        ("task", "", "missing_value"),
        ("seed", "-1", "bad_value"),
        ("variants", "0", "bad_value"),
    ]
    assert bad(nameless).item_id == "line 3" and bad(nameless).code == "missing_value"
    assert "has 2 cells, but the header names 5" in bad(short).detail and bad(short).item_id == "b"
    assert bad(undecodable).item_id == "line 5" and bad(undecodable).faults[0].value == "\\udcff"
    assert bad(address).code == "bad_address" and "s3://bucket/key" in bad(address).detail
    assert isinstance(good, Item)


def test_the_second_of_two_equal_ids_is_the_bad_one_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    content = "item_id,task\na,try_on\na (line 4),try_on\na,try_on\na,try_on\n"
    rows = rows_of(written(tmp_path / "c.csv", content))
    assert [isinstance(row, BadRow) for row in rows] == [False, False, True, True]
    assert len({row.item_id for row in rows}) == 4
    assert bad(rows[2]).code == "duplicate_item"


def test_json_lines_break_one_by_one(tmp_path: Path) -> None:
    lines = [
        json.dumps({"item_id": 1042, "task": "try_on", "seed": 3.0, "person": None}),
        "",
        "{not json",
        '["a"]',
        json.dumps({"item_id": "x" * 2_000_000, "task": "try_on"}),
        json.dumps({"item_id": True, "task": "try_on"}),
        json.dumps({"item_id": "b", "task": "try_on", "seed": 2.5}),
    ]
    path = tmp_path / "c.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    rows = rows_of(path)
    assert rows[0] == Item(item_id="1042", task="try_on", inputs={}, seed=3, line=1)
    assert [(bad(row).line, bad(row).code) for row in rows[1:]] == [
        (3, "bad_row"),
        (4, "bad_row"),
        (5, "bad_row"),
        (6, "bad_value"),
        (7, "bad_value"),
    ]


def test_parquet_types_mean_what_they_say(tmp_path: Path) -> None:
    table = pa.table(
        {
            "item_id": ["007", None],
            "task": pa.array(["try_on", "try_on"]).dictionary_encode(),
            "seed": [float("nan"), 4.0],
            "sizes": [["S"], ["M"]],
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")
    good, nameless = rows_of(tmp_path / "c.parquet")
    assert good == Item(item_id="007", task="try_on", inputs={}, line=1)
    assert bad(nameless).item_id == "line 2"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("c.csv", b"", "is empty"),
        ("c.csv", b"item_id,task\n\n", "no rows"),
        ("c.csv", b"\x9f\xd8\x00,task\n1,try_on\n", "its header is no text in UTF-8"),
        ("c.csv", b"sku,task\n1,try_on\n", "lacks the column item_id; it has sku, task"),
        ("c.csv", b"item_id,task,task\n", "['task'] more than once"),
        ("c.jsonl", b'[{"item_id": 1}]', "JSON array"),
        ("c.parquet", b"PAR1 not really", "can't be read"),
        ("c.csv.gz", gzip.compress(b"item_id,task\n" + b"a,try_on\n" * 99, mtime=0)[:-9], "can't be read"),
        ("c.xlsx", b"PK", "must be .parquet, .csv"),
    ],
)
def test_a_catalog_that_is_none_says_what_is_there(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(CatalogError) as error:
        rows_of(path)
    assert says in str(error.value) and str(path) in str(error.value)


def test_a_missing_catalog_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(CatalogError, match=str(path)):
            Catalog(str(path))


def test_the_schema_names_every_column(tmp_path: Path) -> None:
    schema = json_schema()
    assert schema["required"] == ["item_id", "task"]
    assert {"person", "garment", "garment_mask", "parse", "keypoints", "prompt", "seed", "variants"} < set(
        schema["properties"]
    )


def test_bytes_that_are_no_utf_8_are_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes("item_id,task\nété,try_on\nb,try_on\n".encode("latin-1"))
    first, second = rows_of(path)
    assert bad(first).faults[0].reason == "is not UTF-8; save the table so"
    assert second == Item(item_id="b", task="try_on", inputs={}, line=3)


@pytest.mark.parametrize("field", ["seed", "variants"])
def test_true_is_no_number(tmp_path: Path, field: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps({"item_id": "a", "task": "try_on", field: True}))
    assert [(fault.field, fault.value) for fault in bad(rows_of(path)[0]).faults] == [(field, "true")]
