"""The pyarrow file system that reads and writes tables at an address."""

from __future__ import annotations

from urllib.parse import urlsplit

from pyarrow import fs

from atelier.storage.addresses import bucket_and_key, is_s3, resolve
from atelier.storage.clients import ATTEMPTS, CONNECT_TIMEOUT_S, READ_TIMEOUT_S, is_custom, s3_client, s3_session


def arrow_filesystem(address: str) -> tuple[fs.FileSystem, str]:
    """A pyarrow file system with boto3's endpoint and credentials, and the path within it.

    Made anew each time, since pyarrow keeps credentials as they were and temporary ones run out: fetch it, use it, drop
    it. A table that readers must see whole is written to memory and stored by `atelier.storage.put`.
    """
    if not is_s3(address):
        return fs.LocalFileSystem(), resolve(address)
    client = s3_client()
    options: dict[str, str] = {}
    if is_custom(client.meta.endpoint_url):
        endpoint = urlsplit(client.meta.endpoint_url)
        options |= {"endpoint_override": endpoint.netloc + endpoint.path.rstrip("/"), "scheme": endpoint.scheme}
    credentials = s3_session().get_credentials()
    if credentials is not None:
        frozen = credentials.get_frozen_credentials()
        options |= {"access_key": frozen.access_key or "", "secret_key": frozen.secret_key or ""}
        if frozen.token:
            options["session_token"] = frozen.token
    region = client.meta.region_name
    filesystem = fs.S3FileSystem(
        **options,
        region="us-east-1" if region in (None, "aws-global") else region,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=READ_TIMEOUT_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )
    bucket, key = bucket_and_key(address)
    return filesystem, f"{bucket}/{key}".rstrip("/")
