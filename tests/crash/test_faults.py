"""Processes killed, rows that kill, disks that fill up: afterwards every unit has ended once, and none was lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from atelier import storage
from atelier.rows import Outcome
from pipelines.exits import Exit
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.summary import Summary, summarize
from tests.crash.disks import small_disk
from tests.pipelines.toys import draw_toy

pytestmark = pytest.mark.crash

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240


class World:
    """A catalog, an output, and drivers that work on them in processes of their own.

    Args:
        root: for what stays on this disk.
        store: a folder `s3://…` to keep catalog and output in; else both are below `root`.
    """

    def __init__(self, root: Path, item_ids: list[str], store: str = "") -> None:
        self.item_ids, self.root = item_ids, root
        drawn = draw_toy(root / "catalog", item_ids)
        self.output = f"{store or root}/output"
        self.catalog = f"{store}/catalog/catalog.csv" if store else str(drawn)
        for path in drawn.parent.iterdir() if store else ():
            storage.put(f"{store}/catalog/{path.name}", path.read_bytes())
        self.said = root / "said.txt"

    def start(self, **settings: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.crash.drive", self.catalog, self.output, json.dumps(settings)]
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
        with self.said.open("wb") as said:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)

    def run(self, **settings: Any) -> int:
        driver = self.start(**settings)
        try:
            return driver.wait(PATIENCE_S)
        finally:
            driver.kill()

    def outcomes(self) -> dict[str, Outcome]:
        found = [outcome for batch in Ledger(self.output).latest() for outcome in from_table(batch)]
        ended = {outcome.item_id: outcome for outcome in found}
        assert len(ended) == len(found)
        return ended

    def num_pictures(self) -> int:
        return sum(1 for _ in storage.list(f"{self.output}/pictures"))

    def counted(self) -> Summary:
        """The summary, after a look at whether it is true."""
        summary, ended = summarize(self.output), self.outcomes()
        assert summary.units == len(self.item_ids) == summary.ok + summary.rejected + summary.failed
        assert set(ended) == set(self.item_ids)
        pictures = [f"{self.output}/{outcome.picture}" for outcome in ended.values() if outcome.status == "ok"]
        assert len(pictures) == summary.ok
        assert all(storage.head(picture).size > 0 for picture in pictures)
        return summary


def wait_for(done: Callable[[], object], driver: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert driver.poll() is None, "the driver ended before its time"
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.1)


def items(number: int) -> list[str]:
    return [f"item-{n:03d}" for n in range(number)]


def test_a_killed_driver_goes_on_where_its_ledger_ends(tmp_path: Path, s3: str) -> None:
    world = World(tmp_path, items(96), s3)
    # Long batches: a segment is written ten seconds after its first outcome, well before the last one on any machine.
    driver = world.start(seconds=4.0)
    wait_for(Ledger(world.output).segments, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    held = world.outcomes()
    assert 0 < len(held) < 96

    log = tmp_path / "log"
    assert world.run(log=str(log)) == Exit.DONE
    assert world.counted().ok == 96
    after = world.outcomes()
    assert all(after[item_id] == outcome for item_id, outcome in held.items())
    assert all("grain" in outcome.scores and outcome.notes for outcome in after.values()), "what was said is lost"
    # Workers outlive their driver for some seconds: what they stored meanwhile is kept.
    sampled = log.read_text().splitlines() if log.exists() else []
    assert len(sampled) <= (96 - len(held)) / 4 + 1


def test_a_terminated_driver_writes_down_what_has_ended(tmp_path: Path) -> None:
    world = World(tmp_path, items(40))
    driver = world.start(seconds=3.0, dashboard=True)
    wait_for(lambda: world.num_pictures() >= 20, driver)
    (dashboard,) = re.findall(r"Ray's dashboard: (http://127\.0\.0\.1:\d+/)", world.said.read_text())
    token = os.environ.get("RAY_AUTH_TOKEN") or Path("~/.ray/auth_token").expanduser().read_text().strip()
    answer = httpx.get(f"{dashboard}api/v0/actors", headers={"Authorization": f"Bearer {token}"})
    actors = answer.json()["data"]["result"]["result"]
    assert any("parse+synthesize" in actor["class_name"] for actor in actors), "stages are seen by their names"
    driver.send_signal(signal.SIGTERM)
    assert driver.wait(PATIENCE_S) == Exit.INTERRUPTED
    held = world.outcomes()
    assert 0 < len(held) < 40

    assert world.run() == Exit.DONE
    assert world.counted().ok == 40


def test_rows_that_kill_or_hang_their_worker_end_alone(tmp_path: Path) -> None:
    world = World(tmp_path, [*items(10), "segfault-0", *items(20)[10:], "hang-0"])

    assert world.run(deadline_s=8, max_worker_deaths=1, failure_budget=0.1) == Exit.DONE
    summary, ended = world.counted(), world.outcomes()
    assert summary.ok == 20
    assert summary.by_code == {"worker_died": 1, "timed_out": 1}
    assert (ended["segfault-0"].status, ended["segfault-0"].code) == ("failed", "worker_died")
    assert (ended["hang-0"].status, ended["hang-0"].code) == ("failed", "timed_out")
    assert "time.sleep(10_000)" in ended["hang-0"].detail
    assert "parse" in ended["segfault-0"].stage


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, items(48))
    with small_disk(Path(world.output)) as enlarge:
        assert world.run() == Exit.STOPPED
        assert "No space left on device" in world.said.read_text()

        enlarge("20m")
        assert world.run() == Exit.DONE
        assert world.counted().ok == 48
