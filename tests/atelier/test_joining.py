"""What a person is told where a Ray cluster can't be joined; pipelines/test_joining_a_cluster has a real one."""

from __future__ import annotations

import os
import socket
import socketserver
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atelier.errors import ConfigError
from atelier.joining import joining, keep_token_private

_NOT_TAKEN = "RPC error: InvalidAuthToken: Authentication token is missing or incorrect."


@pytest.fixture
def heard() -> Iterator[str]:
    """Where somebody answers as gRPC does."""
    with answering(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00") as address:
        yield address


@contextmanager
def answering(greeting: bytes) -> Iterator[str]:
    class Greet(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)
            self.request.recv(1024)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greet) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_where_nobody_listens_ray_is_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    asked = False
    with (
        pytest.raises(ConfigError, match=f"RAY_ADDRESS '{address}': no Ray cluster answers there.*refused"),
        joining(address),
    ):
        asked = True
    assert not asked


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_where_another_server_listens_ray_is_not_asked(greeting: bytes) -> None:
    asked = False
    with answering(greeting) as address:
        must = "what answers there is no Ray cluster; must be the HOST:PORT that `ray start --head` printed"
        with pytest.raises(ConfigError, match=f"RAY_ADDRESS '{address}': {must}"), joining(address):
            asked = True
    assert not asked


@pytest.mark.parametrize(
    ("mode", "error", "told"),
    [
        ("", _NOT_TAKEN, "RAY_AUTH_MODE does not say that one be sent; must be RAY_AUTH_MODE=token"),
        ("disabled", _NOT_TAKEN, "RAY_AUTH_MODE does not say that one be sent; must be RAY_AUTH_MODE=token"),
        ("token", _NOT_TAKEN, "refuses the token that it was sent; must be"),
        ("token", "AuthenticationError: no authentication token was found", "and there is none; must be"),
    ],
)
def test_a_cluster_that_wants_a_token(
    heard: str, mode: str, error: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS '{heard}': .*{told}"), joining(heard):
        try:
            raise RuntimeError(f"Failed to connect to GCS. Last connection error: {error}")
        except RuntimeError as cause:
            raise ConnectionError("Failed to connect to Ray cluster") from cause


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.55.0"),
        ConnectionError("Could not find any running Ray instance."),
        ValueError("Invalid address format: nonsense"),
    ],
)
def test_what_ray_says_itself_is_told_in_a_line(error: Exception) -> None:
    with pytest.raises(ConfigError) as raised, joining("auto"):
        raise error
    assert str(raised.value).startswith(f"RAY_ADDRESS 'auto': {' '.join(str(error).split())}")


def test_stderr_comes_out_where_no_sentence_tells_the_reason(heard: str, capfd: pytest.CaptureFixture[str]) -> None:
    with joining(heard):
        os.write(2, b"chatter of native code\n")
    with pytest.raises(ConfigError), joining(heard):
        os.write(2, b"what the sentence tells\n")
        raise ConnectionError("nothing there")
    with pytest.raises(KeyError), joining(heard):
        os.write(2, b"what led to it\n")
        raise KeyError("a fault of Ray's")
    assert capfd.readouterr().err == "what led to it\n"


def test_rays_token_is_its_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / ".ray" / "auth_token"
    keep_token_private()
    made = token.read_text()
    assert len(made) == 64 and stat.S_IMODE(token.stat().st_mode) == 0o600
    token.chmod(0o644)  # as Ray's own commands leave it
    keep_token_private()
    assert token.read_text() == made and stat.S_IMODE(token.stat().st_mode) == 0o600

    token.unlink()
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    keep_token_private()
    assert not token.exists(), "nobody asks for one"
