"""What only an S3 server can show: paging, refused credentials, lost and broken replies."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from atelier import storage
from atelier.errors import AccessDenied, NotFound, PreconditionFailed, StorageError
from atelier.storage.clients import s3_client
from infra.store import StoreServer

pytestmark = pytest.mark.slow


@contextmanager
def counted_requests() -> Iterator[Counter[str]]:
    """How often each S3 operation is sent."""
    counts: Counter[str] = Counter()
    events = s3_client().meta.events

    def count(model, **_) -> None:
        counts[model.name] += 1

    events.register("before-call.s3", count, unique_id="count")
    try:
        yield counts
    finally:
        events.unregister("before-call.s3", unique_id="count")


@contextmanager
def proxy(store: StoreServer, *, lose: str, times: int) -> Iterator[str]:
    """An endpoint before the store that drops whole replies (`lose="reply"`) or half of them (`lose="half"`)."""
    left = [times]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = http.client.HTTPConnection("127.0.0.1", store.port)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for key, value in self.headers.items():
                if key.lower() != "expect":
                    upstream.putheader(key, value)
            upstream.endheaders(body)
            reply = upstream.getresponse()
            content = reply.read()
            upstream.close()
            lost = left[0] > 0 and self.command == ("PUT" if lose == "reply" else "GET")
            left[0] -= lost
            if lost and lose == "reply":
                self.close_connection = True
                return
            self.send_response(reply.status)
            for key, value in reply.getheaders():
                if key.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(key, value)
            self.send_header("Content-Length", reply.getheader("Content-Length") or str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if lost else content)
            self.close_connection = self.close_connection or lost

        do_GET = do_PUT = do_HEAD = forward  # noqa: N815  http.server looks for these names

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_folder_of_many_pages_is_listed_once_for_many_addresses(s3: str) -> None:
    addresses = [storage.join(s3, f"many/{number:04d}.jpg") for number in range(1010)]
    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(lambda address: storage.put(address, address.encode()).token, addresses))
    put = dict(zip(addresses, tokens, strict=True))
    assert {entry.address: entry.token for entry in storage.list(storage.join(s3, "many"))} == put
    asked = [*addresses, storage.join(s3, "many/none.jpg")]
    with counted_requests() as counts:
        assert storage.TokenIndex().tokens(asked) == [*tokens, None]
    assert counts == {"ListObjectsV2": 2}
    with counted_requests() as counts:
        assert storage.TokenIndex().tokens(asked[:40]) == tokens[:40]
    assert counts == {"HeadObject": 40}
    with counted_requests() as counts:  # the first page pays for 64 HEADs; the rest is asked for one by one
        assert storage.TokenIndex().tokens(asked[-65:]) == [*tokens[-64:], None]
    assert counts == {"ListObjectsV2": 1, "HeadObject": 11}


def test_keys_with_empty_parts_are_asked_for_one_by_one(s3: str) -> None:
    address = f"{s3}/a.png"
    token = storage.put(address, b"1").token
    assert storage.TokenIndex(expected=10_000).tokens([address, f"{s3}//b.png"]) == [token, None]


def test_refused_credentials(s3: str, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    address = storage.join(s3, "a")
    storage.put(address, b"1")
    for key, value in s3_server.environment(s3_server.reader).items():
        monkeypatch.setenv(key, value)
    assert storage.get(address) == b"1"
    assert [entry.address for entry in storage.list(s3)] == [address]
    for condition in ({}, {"if_absent": True}):
        with pytest.raises(AccessDenied, match="refused the credentials"):
            storage.put(storage.join(s3, "b"), b"1", **condition)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(AccessDenied):
        storage.get(address)
    assert storage.TokenIndex(expected=10_000).tokens([address]) == [None]


def test_no_such_bucket(s3: str) -> None:
    with pytest.raises(NotFound, match="no such bucket"):
        storage.get("s3://nowhere-at-all/a")
    with pytest.raises(NotFound):
        list(storage.list("s3://nowhere-at-all/a"))
    assert storage.TokenIndex(expected=10_000).tokens(["s3://nowhere-at-all/a"]) == [None]


def test_no_store_at_the_endpoint(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("atelier.storage.clients.ATTEMPTS", 2)
    for call in (storage.get, storage.head, lambda address: storage.put(address, b"")):
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:9") as caught:
            call(f"{s3}/a")
        assert type(caught.value) is StorageError
    with pytest.raises(StorageError):
        storage.TokenIndex().tokens([f"{s3}/a"])


def test_a_put_whose_reply_was_lost_is_ones_own(
    s3: str, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = storage.join(s3, "a")
    with proxy(s3_server, lose="reply", times=1) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        put = storage.put(address, b"mine", if_absent=True)
        assert put == storage.Put(created=True, token=storage.head(address).token)
    with proxy(s3_server, lose="reply", times=2) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        swapped = storage.put(address, b"next", if_match=put.token)
        assert swapped == storage.Put(created=True, token=storage.head(address).token)


def test_a_lost_reply_does_not_excuse_other_content(
    s3: str, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = storage.join(s3, "a")
    storage.put(address, b"theirs")
    with proxy(s3_server, lose="reply", times=1) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(PreconditionFailed):
            storage.put(address, b"mine", if_absent=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    assert storage.get(address) == b"theirs"


def test_a_reply_that_breaks_off_is_read_again(
    s3: str, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 1000
    storage.put(f"{s3}/a", content)
    with proxy(s3_server, lose="half", times=2) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert storage.get(f"{s3}/a") == content
