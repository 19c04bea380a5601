"""Addresses: how they are told apart, taken to pieces and resolved against a catalog's folder."""

from __future__ import annotations

import os
import posixpath
import re

from atelier.errors import StorageError

_S3 = "s3://"
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://")


def is_s3(address: str) -> bool:
    """Whether an address names an object (or folder) in an S3 store."""
    return address.startswith(_S3)


def bucket_and_key(address: str) -> tuple[str, str]:
    """`s3://bucket/a/b` as `("bucket", "a/b")`; the key of a bucket alone is empty."""
    _refuse_nonsense(address)
    bucket, _, key = address.removeprefix(_S3).partition("/")
    if not is_s3(address) or not bucket:
        raise StorageError(address, "must be s3://bucket/key")
    return bucket, key


def local_path(address: str) -> str:
    """The file path of a local address; another scheme than `s3://` is refused."""
    _refuse_nonsense(address)
    if _SCHEME.match(address):
        raise StorageError(address, "its scheme is unknown; must be a file path or s3://bucket/key")
    return address


def resolve(address: str) -> str:
    """An address that means the same in every process: paths become absolute, folders lose their trailing slash."""
    if is_s3(address):
        bucket, key = bucket_and_key(address)
        return f"{_S3}{bucket}/{key}".rstrip("/")
    return os.path.abspath(local_path(address))  # noqa: PTH100  Path.absolute() would keep `..`


def parent(address: str) -> str:
    """The folder that holds an address, without a trailing slash."""
    if is_s3(address):
        bucket, key = bucket_and_key(address)
        return f"{_S3}{bucket}/{posixpath.dirname(key)}".rstrip("/")
    return posixpath.dirname(local_path(address)) or "."


def name(address: str) -> str:
    """The last part of an address."""
    return posixpath.basename(address)


def join(base: str, address: str, *, root: str | None = None) -> str:
    """An address as a catalog gives it, resolved against the folder that the catalog lies in.

    A relative address is looked up below `base`, `.` and `..` included; an `s3://` address or an absolute path is kept.
    No escapes are decoded: `%20` and spaces mean themselves.

    Args:
        base: a folder: a path or `s3://bucket/folder`.
        address: what the catalog says.
        root: with it, a result outside this folder is refused, however it was written. Without it a relative address
            may climb as far as the store goes: to its bucket, or to the file system's root.

    Raises:
        StorageError: an empty address, a NUL in it, an unknown scheme, no object name, or a climb out of the root.
    """
    if not address.strip():
        raise StorageError(repr(address), "the address is empty; must be a file path or s3://bucket/key")
    joined = _joined(base, address)
    if root is not None and not _lies_in(joined, root):
        raise StorageError(address, f"leads to {joined}; must stay inside {root}")
    return joined


def _joined(base: str, address: str) -> str:
    if is_s3(address):
        if not bucket_and_key(address)[1]:
            raise StorageError(address, "names a bucket and no object; must be s3://bucket/key")
        return address
    if posixpath.isabs(local_path(address)):
        return posixpath.normpath(address)
    if not is_s3(base):
        return posixpath.normpath(posixpath.join(local_path(base), address))
    bucket, folder = bucket_and_key(base)
    key = posixpath.normpath(posixpath.join(folder, address))
    if key in (".", "..") or key.startswith("../"):
        raise StorageError(address, f"leaves its store; must stay inside {_S3}{bucket}")
    return f"{_S3}{bucket}/{key.lstrip('/')}"


def _lies_in(address: str, root: str) -> bool:
    # Some gateways read `..` in a key as a step up, so under a root it is never taken literally.
    if is_s3(address) != is_s3(root) or (is_s3(address) and ".." in address.split("/")):
        return False
    return resolve(address).startswith(resolve(root).rstrip("/") + "/")


def _refuse_nonsense(address: str) -> None:
    if "\0" in address:
        raise StorageError(repr(address), "holds a NUL character; no store has such a name")
