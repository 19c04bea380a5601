"""Machines of their own on this one: network, process, IPC and mount namespaces, joined by a switch."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

SWITCH = "atelier-sw"


class Hosts:
    """Hosts by name, each with an address; what runs on one dies with it when its power goes.

    Args:
        root: of a folder for each host's own temporary files.
    """

    def __init__(self, root: Path, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """The command line that runs something on a host, as the first process of a machine that has just started."""
        own = self._root / host
        own.mkdir(parents=True, exist_ok=True)
        shared = Path(tempfile.gettempdir(), "ray")  # where Ray keeps a machine's sessions
        prepare = f"hostname {host}; mkdir -p {shared}; mount --bind {own} {shared}; "
        prepare += 'mount -t tmpfs -o size=1g tmpfs /dev/shm; exec "$@"'
        isolate = ["unshare", "--mount", "--uts", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        return ["ip", "netns", "exec", f"atelier-{host}", *isolate, "bash", "-c", prepare, "_", *command]

    def start(self, host: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Starts a machine that does one thing."""
        with (self._root / f"{host}.txt").open("ab") as said:
            return subprocess.Popen(
                self.command(host, command), env=os.environ | dict(environment), stdout=said, stderr=said
            )

    def beside(self, machine: subprocess.Popen[bytes], command: Sequence[str]) -> list[str]:
        """The command line that runs something on a machine that is up."""
        [first] = psutil.Process(machine.pid).children()
        return ["nsenter", "-t", str(first.pid), "-m", "-u", "-i", "-n", "-p", *command]

    def power_off(self, machine: subprocess.Popen[bytes]) -> None:
        """Ends a machine and all that runs on it at once."""
        for first in psutil.Process(machine.pid).children():
            first.kill()
        machine.wait()

    def link(self, host: str, state: str) -> None:
        """Plugs (`up`) or pulls (`down`) a host's cable."""
        _ip("-n", SWITCH, "link", "set", f"v-{host}", state)


@contextmanager
def switched_hosts(root: Path, addresses: Mapping[str, str]) -> Iterator[Hosts]:
    """Hosts on one switch; nothing is added to this machine's own network.

    Raises:
        PermissionError: this user may not make namespaces.
    """
    spaces = [SWITCH, *(f"atelier-{host}" for host in addresses)]
    try:
        _ip("netns", "add", SWITCH)
        _ip("-n", SWITCH, "link", "add", "br0", "type", "bridge")
        _ip("-n", SWITCH, "link", "set", "br0", "up")
        for host, address in addresses.items():
            space = f"atelier-{host}"
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", f"v-{host}", "netns", SWITCH)
            _ip("-n", SWITCH, "link", "set", f"v-{host}", "master", "br0", "up")
            _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
        yield Hosts(root, addresses)
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    try:
        done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise PermissionError("ip: is not installed") from error
    if done.returncode:
        raise PermissionError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
