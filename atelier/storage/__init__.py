"""Bytes at addresses: local disk and every S3-compatible store behind the same calls.

An **address** is an absolute or relative path, or `s3://bucket/key`. The S3 endpoint, region and credentials are found
as boto3 finds them (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `AWS_PROFILE`, `~/.aws/config`, an instance role, ...);
nothing but addresses crosses a process boundary. A store that does not know checksums is served by boto3's own
`AWS_REQUEST_CHECKSUM_CALCULATION=when_required` and `AWS_RESPONSE_CHECKSUM_VALIDATION=when_required`.

A **token** names one version of an object without reading it: the ETag on S3, `size-mtime_ns` on local disk.

Errors, each with its address: `NotFound`, `AccessDenied`, `PreconditionFailed`, `TooLarge`, else `StorageError`.
"""

from __future__ import annotations

from collections.abc import Iterator

from atelier.storage.addresses import is_s3, join, name, parent, resolve
from atelier.storage.local import LocalStore
from atelier.storage.s3 import S3Store
from atelier.storage.store import Entry, Put, Store
from atelier.storage.tables import arrow_filesystem
from atelier.storage.tokens import TokenIndex

__all__ = [
    "Entry",
    "Put",
    "Store",
    "TokenIndex",
    "arrow_filesystem",
    "delete",
    "exists",
    "get",
    "get_with_token",
    "head",
    "is_s3",
    "join",
    "list",
    "name",
    "parent",
    "put",
    "resolve",
    "store_of",
]

_LOCAL: Store = LocalStore()
_S3: Store = S3Store()


def store_of(address: str) -> Store:
    """The store that serves an address."""
    return _S3 if is_s3(address) else _LOCAL


def get(address: str, *, max_bytes: int | None = None) -> bytes:
    """The whole content of an object.

    Args:
        address: a path or `s3://bucket/key`.
        max_bytes: a longer object raises `TooLarge` before its content is read.
    """
    return store_of(address).get(address, max_bytes=max_bytes)


def get_with_token(address: str, *, max_bytes: int | None = None) -> tuple[bytes, str]:
    """The whole content of an object, as `get`, and the token of the very version that was read."""
    return store_of(address).get_with_token(address, max_bytes=max_bytes)


def head(address: str) -> Entry:
    """Size and version token of an object, without its content; `NotFound` where nothing lies."""
    return store_of(address).head(address)


def exists(address: str) -> bool:
    """Whether an object lies at the address."""
    return store_of(address).exists(address)


def put(
    address: str,
    data: bytes,
    *,
    if_absent: bool = False,
    if_match: str | None = None,
    content_type: str | None = None,
) -> Put:
    """Stores an object whole and durably: readers see the old content or the new one, never a part.

    Args:
        address: a path (its folders are made) or `s3://bucket/key`.
        data: the content.
        if_absent: store only where nothing lies. The very same bytes there already are no error (`created=False`);
            other bytes raise `PreconditionFailed`. Of many writers exactly one creates the object.
        if_match: store only over the version with this token (compare and swap); otherwise `PreconditionFailed`.
            On local disk an address written with `if_match` must always be written so, or with `if_absent`.
        content_type: the media type that S3 hands to browsers; local disk has no place for it.

    A conditional PUT whose reply was lost is sent again and then refused by the store; it is recognised as one's own by
    its content, and counts as created.
    """
    return store_of(address).put(address, data, if_absent=if_absent, if_match=if_match, content_type=content_type)


def delete(address: str) -> None:
    """Removes an object; one that is not there is no error."""
    store_of(address).delete(address)


def list(folder: str, *, recursive: bool = True) -> Iterator[Entry]:
    """The objects below a folder, with sizes and tokens, in no promised order; nothing where there is no such folder.

    S3 answers 1,000 entries a request, and pages are fetched as they are consumed.

    Args:
        folder: an address; `s3://bucket/a` lists below `a/`, never `ab`.
        recursive: also what lies in folders below.
    """
    return store_of(folder).list(folder, recursive=recursive)
