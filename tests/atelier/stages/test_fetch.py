"""Fetch: bytes and digests, and each way an address can fail."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atelier import storage
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.fetch import Fetch


def fetched(*rows: dict[str, str], config: Fetch | None = None) -> dict[str, Any]:
    config = config or Fetch(required=("person", "garment"), optional=("parse",))
    columns: dict[str, Any] = {
        "item_id": [str(row) for row in range(len(rows))],
        "variant": np.zeros(len(rows), np.int32),
        "task": ["try_on"] * len(rows),
        "seed": np.zeros(len(rows), np.int64),
    }
    for name in ("person", "garment", "parse"):
        columns[f"{name}_address"] = [row.get(name, "") for row in rows]
    return StageChain([config.build(torch.device("cpu"))], batch_size=len(rows)).run(new_batch(columns))


@pytest.fixture
def person(tmp_path: Path) -> str:
    (tmp_path / "person.png").write_bytes(b"a person")
    return str(tmp_path / "person.png")


@pytest.fixture
def garment(tmp_path: Path) -> str:
    (tmp_path / "garment.png").write_bytes(b"a garment")
    return str(tmp_path / "garment.png")


def test_bytes_and_digests_of_what_is_given(person: str, garment: str) -> None:
    batch = fetched({"person": person, "garment": garment})
    assert batch["error_code"].tolist() == [""]
    assert batch["person_bytes"][0] == b"a person"
    assert batch["garment_sha256"][0] == hashlib.sha256(b"a garment").hexdigest()
    assert batch["parse_bytes"][0] == b"" and batch["parse_sha256"][0] == ""


def test_a_missing_object_fails_its_row_alone_and_names_field_and_address(person: str, garment: str) -> None:
    batch = fetched({"person": person, "garment": garment + ".gone"}, {"person": person, "garment": garment})
    assert batch["error_code"].tolist() == ["object_missing", ""]
    assert batch["error_detail"][0].startswith(f"garment: {garment}.gone")
    assert batch["error_rejected"].tolist() == [True, False]
    assert batch["person_bytes"].tolist() == [b"", b"a person"]


def test_a_required_input_without_an_address_is_rejected(person: str) -> None:
    batch = fetched({"person": person})
    assert batch["error_code"].tolist() == ["input_missing"] and batch["error_detail"][0].startswith("garment:")


def test_a_store_that_cannot_be_read_is_tried_again_by_the_next_plan(person: str, tmp_path: Path) -> None:
    unreadable = str(tmp_path / ("x" * 300))  # no file system takes such a name
    batch = fetched({"person": person, "garment": unreadable}, {"person": person, "garment": "http://shop/a.png"})
    assert batch["error_code"].tolist() == ["storage_unavailable"] * 2
    assert not batch["error_rejected"].any()


def test_a_folder_is_no_object(person: str, tmp_path: Path) -> None:
    batch = fetched({"person": person, "garment": str(tmp_path)})
    assert batch["error_code"].tolist() == ["object_missing"] and batch["error_rejected"].all()
    assert batch["error_detail"][0].endswith("is a folder, must be a file")


def test_empty_and_oversized_objects_are_rejected(person: str, garment: str) -> None:
    Path(garment).write_bytes(b"")
    assert fetched({"person": person, "garment": garment})["error_code"].tolist() == ["object_empty"]
    small = Fetch(required=("person",), max_bytes=4)
    assert fetched({"person": person}, config=small)["error_code"].tolist() == ["object_too_large"]


@pytest.mark.slow
def test_a_real_store_serves_refuses_and_is_away(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = storage.join(s3, "person.png")
    storage.put(address, b"a person")
    config = Fetch(required=("person",))
    here = fetched({"person": address}, {"person": address + ".gone"}, config=config)
    assert here["error_code"].tolist() == ["", "object_missing"] and here["person_bytes"][0] == b"a person"

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = fetched({"person": address}, config=config)
    assert refused["error_code"].tolist() == ["access_denied"] and not refused["error_rejected"][0]

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("atelier.storage.clients.ATTEMPTS", 1)
    away = fetched({"person": address}, config=config)
    assert away["error_code"].tolist() == ["storage_unavailable"] and not away["error_rejected"][0]


def test_how_fast_it_fetches_is_not_what_it_makes() -> None:
    assert Fetch(required=("person",), num_threads=1).identity() == Fetch(required=("person",)).identity()
