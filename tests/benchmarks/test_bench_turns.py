"""Two programs take turns: while one has its own, the other stands still, and its clock too."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from benchmarks.turns import Player, StepClock, by_turns

STRETCH, NUM_STRETCHES = 2, 3
PROGRAM = f"""
import json, sys, time
from pathlib import Path
from benchmarks.turns import StepClock

folder = Path(sys.argv[1])
clock, steps = StepClock(folder, {STRETCH}), []
for step in range({STRETCH * NUM_STRETCHES + 1}):
    clock.step()
    began = time.monotonic()
    time.sleep(0.02)
    steps.append((began, time.monotonic()))
(folder / "told.json").write_text(json.dumps(dict(steps=steps, started_s=clock.started_s)))
"""


def test_stretches_never_overlap_and_the_clock_counts_ones_own_alone(tmp_path: Path) -> None:
    players, folders = [], [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        players.append(Player([sys.executable, "-c", PROGRAM, str(folder)], folder, folder / "said.txt"))
    footprint = by_turns(players, NUM_STRETCHES)
    assert footprint.cpu_s >= 0 and all(player.process.returncode == 0 for player in players)
    told = [json.loads((folder / "told.json").read_text()) for folder in folders]
    turns = []
    for name, one in enumerate(told):
        steps = one["steps"]
        turns += [(steps[k * STRETCH][0], steps[(k + 1) * STRETCH - 1][1], name) for k in range(NUM_STRETCHES)]
        whole_s = steps[-1][0] - steps[0][0]
        assert one["started_s"][-1] - one["started_s"][0] < whole_s  # the other's turns lay between
    turns.sort()
    assert [name for *_, name in turns] == [0, 1, 1, 0, 0, 1]
    assert all(end <= start for (_, end, _), (start, _, _) in pairwise(turns))


PARENT = """
import sys
from pathlib import Path
from benchmarks.turns import Player

folder = Path(sys.argv[1])
player = Player([sys.executable, "-c", sys.argv[2], str(folder)], folder, folder / "said.txt")
player.until_stretch_ends()
print(player.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel does it")
def test_a_program_that_stands_still_does_not_outlive_who_let_it_stand(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path), PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        until_s = time.monotonic() + 30
        while child.status() != psutil.STATUS_STOPPED and time.monotonic() < until_s:
            time.sleep(0.02)  # a program stops once it is next looked at
        assert child.status() == psutil.STATUS_STOPPED
        parent.kill()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE  # nobody may be there to bury it


@pytest.mark.parametrize(
    ("before", "told"), [("", "within its turn"), (PROGRAM, "after its last turn")], ids=["within", "after"]
)
def test_a_program_that_fails_is_told_and_none_is_left(tmp_path: Path, before: str, told: str) -> None:
    players = []
    for name, program in (("good", PROGRAM), ("bad", f"{before}\nraise SystemExit('no room')")):
        folder = tmp_path / name
        folder.mkdir()
        players.append(Player([sys.executable, "-c", program, str(folder)], folder, folder / "said.txt"))
    with pytest.raises(RuntimeError, match=f"ended by 1 {told}:\nno room"):
        by_turns(players, NUM_STRETCHES)
    assert all(player.process.returncode is not None for player in players)


def test_a_program_by_itself_waits_for_nobody() -> None:
    clock = StepClock()
    for _ in range(3):
        clock.step()
    assert clock.started_s == sorted(clock.started_s) and len(clock.started_s) == 3
