"""S3 and what speaks like it as a store: ETags for tokens, conditional PUT, finite retries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)

from atelier.errors import AccessDenied, NotFound, PreconditionFailed, StorageError, TooLarge
from atelier.storage.addresses import bucket_and_key
from atelier.storage.clients import ATTEMPTS, s3_client
from atelier.storage.store import Entry, Put

_DENIED = {
    "401",
    "403",
    "AccessDenied",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_MISSING = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}


class S3Store:
    """Objects of any S3 endpoint. A token is the ETag without its quotes."""

    def get(self, address: str, *, max_bytes: int | None = None) -> bytes:
        return self.get_with_token(address, max_bytes=max_bytes)[0]

    def get_with_token(self, address: str, *, max_bytes: int | None = None) -> tuple[bytes, str]:
        bucket, key = bucket_and_key(address)
        for attempt in range(1, ATTEMPTS + 1):
            with _said(address):
                response = s3_client().get_object(Bucket=bucket, Key=key)
                with closing(response["Body"]) as body:  # `with body` would read around botocore's own checks
                    size = response["ContentLength"]
                    if max_bytes is not None and size > max_bytes:
                        raise TooLarge(address, f"holds {size} bytes; must be at most {max_bytes}")
                    try:
                        return body.read(), _token(response)
                    except (HTTPClientError, IncompleteReadError):
                        # botocore retries a request, but not a reply that breaks off while it is read.
                        if attempt == ATTEMPTS:
                            raise
            time.sleep(0.05 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def head(self, address: str) -> Entry:
        bucket, key = bucket_and_key(address)
        with _said(address):
            response = s3_client().head_object(Bucket=bucket, Key=key)
        return Entry(address=address, size=response["ContentLength"], token=_token(response))

    def exists(self, address: str) -> bool:
        try:
            self.head(address)
        except NotFound:
            return False
        return True

    def put(
        self,
        address: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        content_type: str | None = None,
    ) -> Put:
        bucket, key = bucket_and_key(address)
        request: dict[str, Any] = {"Bucket": bucket, "Key": key, "Body": data}
        if content_type is not None:
            request["ContentType"] = content_type
        if if_absent:
            request["IfNoneMatch"] = "*"
        if if_match is not None:
            request["IfMatch"] = f'"{if_match}"'
        retried = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return Put(created=True, token=_token(s3_client().put_object(**request)))
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                retried = retried or error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
                if status == 412 or (if_match is not None and status == 404):
                    return self._own_or_refused(address, data, if_absent=if_absent, retried=retried)
                # 409: another conditional write of this key is under way. botocore does not retry it.
                if status != 409 or attempt == ATTEMPTS or not (if_absent or if_match):
                    raise _as_storage_error(address, error) from error
            except BotoCoreError as error:
                raise _as_storage_error(address, error) from error
            time.sleep(0.05 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def delete(self, address: str) -> None:
        bucket, key = bucket_and_key(address)
        with _said(address):
            s3_client().delete_object(Bucket=bucket, Key=key)

    def list(self, folder: str, *, recursive: bool = True) -> Iterator[Entry]:
        for page in self.pages(folder, recursive=recursive):
            yield from page

    def pages(self, folder: str, *, recursive: bool = True) -> Iterator[tuple[Entry, ...]]:
        """The listing of a folder, one request a page of at most 1,000 entries."""
        bucket, key = bucket_and_key(folder)
        prefix = key.rstrip("/") + "/" if key else ""
        request = {"Bucket": bucket, "Prefix": prefix} | ({} if recursive else {"Delimiter": "/"})
        with _said(folder):
            for page in s3_client().get_paginator("list_objects_v2").paginate(**request):
                yield tuple(
                    Entry(address=f"s3://{bucket}/{found['Key']}", size=found["Size"], token=_token(found))
                    for found in page.get("Contents", ())
                    if not found["Key"].endswith("/")  # a console's mark for an empty folder
                )

    def _own_or_refused(self, address: str, data: bytes, *, if_absent: bool, retried: bool) -> Put:
        """What a refused condition means: one's own PUT whose reply was lost, the same bytes by another, or a loss.

        Without a retry it cannot be one's own; then the same bytes are no error for `if_absent` alone, since a swap
        promises that this writer's turn was next.
        """
        if retried or if_absent:
            try:
                entry = self.head(address)
                if entry.size == len(data) and self.get(address) == data:
                    return Put(created=retried, token=entry.token)
            except NotFound:
                raise PreconditionFailed(address, "its condition did not hold, and nothing lies there now") from None
        raise PreconditionFailed(address, "other content lies there" + (" already" if if_absent else ""))


def _token(reply: Any) -> str:
    return reply["ETag"].strip('"')


@contextmanager
def _said(address: str) -> Iterator[None]:
    """botocore's errors as storage errors of this address."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _as_storage_error(address, error) from error


def _as_storage_error(address: str, error: ClientError | BotoCoreError) -> StorageError:
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return AccessDenied(address, str(error))
    if not isinstance(error, ClientError):
        return StorageError(address, str(error))
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code == "NoSuchBucket":
        return NotFound(address, "there is no such bucket")
    if code in _MISSING:
        # A reply to HEAD has no body that could tell a missing bucket from a missing object.
        return NotFound(
            address, "nothing lies there" if code == "NoSuchKey" else "nothing lies there, or no such bucket"
        )
    if code in _DENIED:
        return AccessDenied(address, f"the store refused the credentials ({code})")
    return StorageError(address, str(error))
