"""A worker of the preparing job is killed for real: its part is made again, and no row is lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psutil
import pytest

from training.data.closet_source import ClosetConfig
from training.data.prepare import prepare
from training.data.preparing.here import prepare_here
from training.data.preparing.plan import plan
from training.data.sources.closet import ClosetSource

DEADLINE_S = 120.0


@pytest.mark.crash
def test_a_killed_worker_costs_no_row(tmp_path: Path) -> None:
    config = ClosetConfig(kind="looks", num_samples=120, size=(64, 48))
    preparation = plan(ClosetSource(config=config), str(tmp_path / "job"), rows_per_shard=10)
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "job" / "parts", killed))
    killer.start()
    index = prepare(preparation, num_workers=2)
    killer.join()
    assert killed, "the job was over before a worker could be killed"
    assert index.num_samples == index.num_listed == 120
    assert index.shards == prepare_here(preparation.into(str(tmp_path / "here")), num_processes=1).shards


def kill_a_worker(parts: Path, killed: list[int]) -> None:
    """Ends one worker of the job, once a part is made; only processes that this one has started."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and not killed:
        if parts.is_dir() and any(parts.iterdir()):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "_PartMaker" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        break
                except psutil.NoSuchProcess:
                    continue
        time.sleep(0.05)
