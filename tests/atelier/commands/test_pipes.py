"""`… list | head`: who leaves early hears no traceback; any other broken pipe is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRINTS = """
import sys
from atelier.commands.pipes import telling

def main():
    for number in range(100_000):
        print(number)
    return 0

sys.exit(telling(main))
"""
ELSEWHERE = """
import os, sys
from atelier.commands.pipes import telling

def main():
    reading, writing = os.pipe()
    os.close(reading)
    os.write(writing, b"x")

sys.exit(telling(main))
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_leaves_ends_the_command_silently(unbuffered: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with subprocess.Popen([sys.executable, "-c", PRINTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as printing:
        assert printing.stdout is not None and printing.stderr is not None
        assert printing.stdout.readline() == b"0\n"
        printing.stdout.close()
        assert printing.stderr.read() == b""
    assert printing.returncode == 141


def test_a_reader_who_stays_gets_all() -> None:
    done = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "99999"


def test_another_pipe_that_breaks_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "BrokenPipeError" in done.stderr
