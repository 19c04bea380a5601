"""The rows that flow: an item of the catalog, the units it becomes, the outcome each unit ends with; Arrow beside them.

Three identities, never mixed up:

- `unit_id` = (item_id, variant) counts: each unit ends in exactly one outcome.
- `seed` draws: see `atelier.seeds`.
- `plan_key`, `picture_key`, `rendition_key` name work and objects: see `atelier.keys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

Status = Literal["ok", "rejected", "failed"]

INPUTS = ("person", "garment", "garment_mask", "parse", "keypoints", "pose", "pose_map")
"""The pictures and files an item may name; each is a catalog column that holds an address, `""` where absent.

`pose` and `pose_map` may also name a pose of the pack: their address is then `pose:NAME`, see `atelier.poses`.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A row of a catalog that was read without error; addresses are absolute.

    Args:
        inputs: address by input name, only the names given.
        model: which system is to make it, where a job has several for the task; `""` takes the job's first.
        seed: the catalog's own seed, None where it gives none.
        variants: how many pictures to make, at least 1.
        line: the line of the catalog's file it starts on, from 1 (in Parquet the row's number), for messages.
    """

    item_id: str
    task: str
    inputs: Mapping[str, str]
    model: str = ""
    prompt: str = ""
    seed: int | None = None
    variants: int = 1
    line: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One picture to make.

    Args:
        tokens: version token by input name (ETag, or size and mtime).
        plan_key: hash of all that decides the picture, known before any download.
    """

    item_id: str
    variant: int
    task: str
    seed: int
    inputs: Mapping[str, str]
    tokens: Mapping[str, str]
    prompt: str = ""
    plan_key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one unit ended, with what it takes to explain or repeat it.

    Args:
        stage, code, detail: where and why it was rejected or failed; `""` for ok.
        made: True where this run sampled the picture, False where a stored one was kept.
        picture: address of the encoded picture, relative to the output's root.
        digests: sha256 by weight name. input_sha256: content digest by input name.
        prompt: the row's words, where it has some.
        batch_shape: [B, H, W] the picture was made at; bits repeat only at an equal shape.
        seconds: seconds a row by stage. scores: by name, what may have gone wrong; 0 is best.
        notes: what a person should know of a picture that is ok, each `code: sentence`.
    """

    item_id: str
    variant: int
    task: str
    recipe: str
    status: Status
    stage: str = ""
    code: str = ""
    detail: str = ""
    made: bool = False
    plan_key: str = ""
    picture_key: str = ""
    rendition_key: str = ""
    picture: str = ""
    seed: int = 0
    prompt: str = ""
    fingerprint: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    input_sha256: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    batch_shape: tuple[int, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    run_id: str = ""
    finished_at_s: float = 0.0


_TEXTS = pa.map_(pa.string(), pa.string())
_NUMBERS = pa.map_(pa.string(), pa.float64())

UNIT_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("variant", pa.int32()),
        ("task", pa.string()),
        ("seed", pa.int64()),
        ("prompt", pa.string()),
        ("plan_key", pa.string()),
        *((f"{name}_address", pa.string()) for name in INPUTS),
        *((f"{name}_token", pa.string()) for name in INPUTS),
    ]
)

OUTCOME_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("variant", pa.int32()),
        ("task", pa.string()),
        ("recipe", pa.string()),
        ("status", pa.string()),
        ("stage", pa.string()),
        ("code", pa.string()),
        ("detail", pa.string()),
        ("made", pa.bool_()),
        ("plan_key", pa.string()),
        ("picture_key", pa.string()),
        ("rendition_key", pa.string()),
        ("picture", pa.string()),
        ("seed", pa.int64()),
        ("fingerprint", pa.string()),
        ("digests", _TEXTS),
        ("inputs", _TEXTS),
        ("input_sha256", _TEXTS),
        ("versions", _TEXTS),
        ("batch_shape", pa.list_(pa.int32())),
        ("seconds", _NUMBERS),
        ("scores", _NUMBERS),
        ("notes", pa.list_(pa.string())),
        ("prompt", pa.string()),
        ("run_id", pa.string()),
        ("finished_at_s", pa.float64()),
    ]
)
