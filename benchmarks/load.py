"""Callers of a service, by locust, in a process of their own: `python -m benchmarks.load SPEC RESULT`.

Locust changes Python's sockets to its own when it is imported, so that nothing else of the benchmarks may share its
process. A caller sends one body over and over; how many there are, and how often each, is the load.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True, kw_only=True)
class Load:
    """What callers do.

    Args:
        url: where they post; body: a file with what, content_type: of which type.
        key: of the service. callers: at the same time.
        rate: requests a second of all together, evenly spread; None: each sends the next when it has an answer. Who
            waits longer than `callers / rate` is late for the next.
        warm_s, seconds: not counted, and counted; a request counts by when it was answered.
    """

    url: str
    body: str
    content_type: str
    key: str
    callers: int
    rate: float | None
    seconds: float
    warm_s: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What came of it: seconds of each answer that was a picture, and how many were refused (429) or failed."""

    seconds: tuple[float, ...]
    refused: int
    failed: int
    window_s: float

    @property
    def pictures_a_second(self) -> float:
        """Over the counted time."""
        return len(self.seconds) / self.window_s

    def percentile(self, share: float) -> float:
        """Seconds that a share of the answers took at most; infinite where there was none."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


def apply(load: Load, folder: Path) -> Loaded:
    """Runs callers beside this process.

    Raises:
        RuntimeError: they failed; with the end of what they said.
    """
    spec, result = folder / "load.json", folder / "loaded.json"
    spec.write_text(json.dumps(asdict(load)))
    command = [sys.executable, "-m", "benchmarks.load", str(spec), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{load} failed:\n{done.stderr[-4000:]}")
    values = json.loads(result.read_text())
    return Loaded(**values | {"seconds": tuple(values["seconds"])})


def main() -> None:
    """Calls, and writes down what came of it."""
    import gevent
    from locust import FastHttpUser, constant, constant_throughput, task
    from locust.env import Environment

    load = Load(**json.loads(Path(sys.argv[1]).read_text()))
    body = Path(load.body).read_bytes()
    host, _, path = load.url.removeprefix("http://").partition("/")
    headers = {"Content-Type": load.content_type, "Authorization": f"Bearer {load.key}", "Accept": "image/jpeg"}
    seconds: list[float] = []
    missed = {"refused": 0, "failed": 0}
    begins_s = time.monotonic() + load.warm_s
    numbers = itertools.count()

    class Caller(FastHttpUser):
        """One of them."""

        host = f"http://{load.url.removeprefix('http://').partition('/')[0]}"
        wait_time = constant(0) if load.rate is None else constant_throughput(load.rate / load.callers)
        network_timeout = connection_timeout = 120.0

        def on_start(self) -> None:
            """The callers begin one after another: else the first of all would come at once."""
            if load.rate is not None:
                gevent.sleep(next(numbers) / load.rate)

        @task
        def ask(self) -> None:
            started = time.monotonic()
            with self.client.post(f"/{path}", data=cast(Any, body), headers=headers, catch_response=True) as answer:
                answer.success()
                ended = time.monotonic()
                if not begins_s <= ended < begins_s + load.seconds:
                    return
                if answer.status_code == 200:
                    seconds.append(ended - started)
                else:
                    missed["refused" if answer.status_code == 429 else "failed"] += 1

    environment = Environment(user_classes=[Caller], host=f"http://{host}")
    runner = environment.create_local_runner()
    runner.start(load.callers, spawn_rate=load.callers)
    gevent.sleep(load.warm_s + load.seconds)
    runner.quit()
    loaded = Loaded(seconds=tuple(seconds), window_s=load.seconds, **missed)
    Path(sys.argv[2]).write_text(json.dumps(asdict(loaded)))


if __name__ == "__main__":
    main()
