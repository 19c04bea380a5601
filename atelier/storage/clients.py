"""boto3 clients, one per process and AWS environment, shared by its threads."""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3.session
import botocore.session
from botocore.config import Config

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
ATTEMPTS = 6
# Threads beyond the pool would open and drop a connection per request.
POOL_CONNECTIONS = 32

_clients: dict[tuple[Any, ...], tuple[boto3.session.Session, Any]] = {}
_lock = threading.Lock()


def s3_client() -> Any:
    """The S3 client of this process; made at first use, since a client cannot cross to another process."""
    return _session_and_client()[1]


def s3_session() -> boto3.session.Session:
    """The session behind `s3_client`, whose credentials renew themselves."""
    return _session_and_client()[0]


def _session_and_client() -> tuple[boto3.session.Session, Any]:
    # boto3 reads the environment once, at creation: another endpoint or profile needs another client.
    key = (os.getpid(), *sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))
    made = _clients.get(key)
    if made is None:
        with _lock:
            made = _clients.get(key)
            if made is None:
                made = _clients[key] = _make()
    return made


def _make() -> tuple[boto3.session.Session, Any]:
    core = botocore.session.get_session()
    session = boto3.session.Session(botocore_session=core)
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=POOL_CONNECTIONS,
    )
    client = session.client("s3", config=config)
    if is_custom(client.meta.endpoint_url) and "addressing_style" not in (core.get_scoped_config().get("s3") or {}):
        # A store of one's own rarely has a DNS name per bucket.
        client = session.client("s3", config=config.merge(Config(s3={"addressing_style": "path"})))
    return session, client


def is_custom(endpoint_url: str) -> bool:
    """Whether an endpoint is another store than AWS."""
    host = endpoint_url.split("://", 1)[-1].split("/", 1)[0].split(":", 1)[0]
    return not host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
