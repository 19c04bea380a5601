"""The two JSON files of a checkpoint: the manifest, which makes it whole, and the index of its tensors."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from atelier import storage
from atelier.errors import NotFound
from training.checkpoints.info import CheckpointInfo

MANIFEST_NAME = "manifest.json"
INDEX_NAME = "index.json"
FORMAT = "atelier checkpoint 1"


class DamagedCheckpoint(Exception):
    """A checkpoint whose files are not those that its manifest tells of; says which and how.

    Args:
        address: the file or folder.
        reason: what is wrong.
    """

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"{address}: {reason}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.address, self.reason)


class UnfinishedCheckpoint(DamagedCheckpoint):
    """One that a killed writer left: it has no manifest, and never was whole."""

    def __init__(self, folder: str, reason: str = f"has no {MANIFEST_NAME}: it was never finished") -> None:
        super().__init__(folder, reason)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file: its name in the checkpoint's folder, its size in bytes and its sha256 (hex)."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A box of a tensor, and where it is stored.

    Args:
        offsets, sizes: of the box within the whole tensor.
        file: name of the safetensors file.
        key: of the tensor in that file.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    key: str


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor's dtype (as torch prints it, without `torch.`), its whole shape, and the pieces that make it up."""

    dtype: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class Index:
    """Every tensor by name, and the plain values."""

    tensors: Mapping[str, StoredTensor]
    values: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """As JSON."""
        # Piece by piece: dataclasses.asdict copies deeply, and took longer than to write the tensors.
        tensors = {
            name: {"dtype": tensor.dtype, "shape": tensor.shape, "pieces": [vars(piece) for piece in tensor.pieces]}
            for name, tensor in self.tensors.items()
        }
        return json.dumps({"tensors": tensors, "values": dict(self.values)}, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` wrote."""
        content = json.loads(data)
        tensors = {
            name: StoredTensor(
                dtype=tensor["dtype"],
                shape=tuple(tensor["shape"]),
                pieces=tuple(
                    Piece(
                        offsets=tuple(piece["offsets"]),
                        sizes=tuple(piece["sizes"]),
                        file=piece["file"],
                        key=piece["key"],
                    )
                    for piece in tensor["pieces"]
                ),
            )
            for name, tensor in content["tensors"].items()
        }
        return cls(tensors=tensors, values=content["values"])


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the checkpoint is of, and all of its other files."""

    info: CheckpointInfo
    files: tuple[StoredFile, ...]

    @property
    def num_bytes(self) -> int:
        """Of all files but the manifest."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """The sha256 (hex) of all that the manifest says: it names the checkpoint."""
        return hashlib.sha256(self._content()).hexdigest()

    def to_bytes(self) -> bytes:
        """As JSON, its own digest included."""
        return json.dumps({**json.loads(self._content()), "digest": self.digest}, indent=1, sort_keys=True).encode()

    def _content(self) -> bytes:
        content = {
            "format": FORMAT,
            "info": dataclasses.asdict(self.info),
            "files": [dataclasses.asdict(file) for file in self.files],
        }
        return json.dumps(content, sort_keys=True).encode()


def read_manifest(folder: str) -> Manifest:
    """The manifest of a checkpoint's folder.

    Raises:
        DamagedCheckpoint: there is none, or it is not as it was written.
    """
    address = storage.join(folder, MANIFEST_NAME)
    try:
        content = json.loads(storage.get(address))
        if content["format"] != FORMAT:
            raise DamagedCheckpoint(address, f"its format is {content['format']!r}, must be {FORMAT!r}")
        manifest = Manifest(
            info=CheckpointInfo(**content["info"]),
            files=tuple(StoredFile(**file) for file in content["files"]),
        )
    except NotFound as error:
        raise UnfinishedCheckpoint(folder) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedCheckpoint(address, "is no manifest of a checkpoint") from error
    if content.get("digest") != manifest.digest:
        raise DamagedCheckpoint(address, "was altered after it was written: its digest does not fit")
    return manifest


def read_file(folder: str, file: StoredFile) -> bytes:
    """A file's content, held against its sha256.

    Raises:
        DamagedCheckpoint: it is missing or holds other bytes.
        StorageError: the store does not answer.
    """
    address = storage.join(folder, file.name)
    try:
        data = storage.get(address)
    except NotFound as error:
        raise DamagedCheckpoint(address, "is missing") from error
    if len(data) != file.size:
        raise DamagedCheckpoint(address, f"holds {len(data)} bytes, must hold {file.size}")
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise DamagedCheckpoint(address, f"has the sha256 {found}, must have {file.sha256}")
    return data


def write_file(folder: str, name: str, data: bytes) -> StoredFile:
    """Stores a file of a checkpoint and says what was stored.

    Raises:
        StorageError: the disk is full, the store refuses.
    """
    storage.put(storage.join(folder, name), data)
    return StoredFile(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
