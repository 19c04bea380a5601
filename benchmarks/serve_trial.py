"""One part of the serving benchmark in a process of its own: `python -m benchmarks.serve_trial SPEC RESULT`.

A real service on loopback, with keys and a job store, as `python -m serving run` starts it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import torch
from PIL import Image

from atelier.stages.chain import column, new_batch
from benchmarks.fit import fit
from benchmarks.load import Load, Loaded, apply
from benchmarks.protocol import apart
from benchmarks.trial import Trial
from serving import launch
from serving.keys import KeyRing
from serving.models.asked import Ask
from serving.models.samples import drawn_garment, drawn_person
from serving.offered import offered
from serving.settings import ScalingSettings, ServeSettings

RECIPE = "viton_hd_closet"
SIZE = (256, 192)
WARM = 5
"""Requests before those that count."""
ASLEEP_WITHIN_S = 120.0
"""A model that nobody asks is asleep by then, and its process gone."""


@dataclass(frozen=True, kw_only=True)
class ServeTrial:
    """What is run.

    Args:
        part: a name of `PARTS`.
        requests: of `overhead`, for each size of picture. seconds: of each load. shares: of `curve`, of `full_rate`.
        full_rate: pictures a second at saturation, as measured before.
    """

    part: str
    folder: str
    requests: int = 50
    seconds: float = 20.0
    shares: tuple[float, ...] = ()
    full_rate: float = 0.0


_BARE = "/bare"
"""Below it is a service that does nothing."""


class Service:
    """A running service, and a body to ask it with."""

    def __init__(self, folder: Path, settings: ServeSettings, port: int) -> None:
        self._folder, self._port = folder, port
        self.key = KeyRing(settings.keys).add("bench", ["make", "jobs", "models"])
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=300, headers={"Authorization": f"Bearer {self.key}"}
        )

    def make(self, files: dict[str, bytes], seed: int) -> bytes:
        """A picture."""
        return self.timed(files, seed)[0]

    def timed(self, files: dict[str, bytes], seed: int) -> tuple[bytes, dict[str, float]]:
        """A picture, and the seconds that each of the recipe's stages took of it, but for its last, `encode`."""
        answer = self.client.post("/v1/try-on", files=files, data={"seed": seed}, headers={"Accept": "image/jpeg"})
        answer.raise_for_status()
        told = dict(one.split(";dur=") for one in answer.headers["server-timing"].split(", "))
        return answer.content, {name: float(spent) / 1000 for name, spent in told.items() if name != "total"}

    def bare(self, files: dict[str, bytes]) -> float:
        """Seconds of the same request to a service that does nothing."""
        started = time.perf_counter()
        self.client.post(f"{_BARE}/", files=files, data={"seed": 0}).raise_for_status()
        return time.perf_counter() - started

    def load(self, *, callers: int, seconds: float, rate: float | None = None, prefix: str = "") -> Loaded:
        """What callers get who all ask for the same."""
        files = {"person": drawn_person(1, SIZE), "garment": drawn_garment(1, SIZE)}
        request = httpx.Request("POST", "http://localhost", files=files, data={"seed": "7"})
        body = self._folder / "body"
        body.write_bytes(request.read())
        url = f"http://127.0.0.1:{self._port}{prefix}/v1/try-on"
        kind = request.headers["content-type"]
        load = Load(
            url=url, body=str(body), content_type=kind, key=self.key, callers=callers, rate=rate, seconds=seconds
        )
        return apply(load, self._folder)


_WAYS = ("http", "http_stages", "direct", "direct_stages", "bare")


def overhead(trial: ServeTrial) -> dict[str, Any]:
    """Seconds of a request, of a direct call of the recipe and of the same request to a service that does nothing, by
    turns, one picture at a time."""
    torch.set_num_threads(1)  # as the service's replica has
    recipe = offered(RECIPE, {}, batch_size=1)
    chain = recipe.after("fetch").build()
    found: dict[str, Any] = {}
    with served(trial, with_bare=True, batch_size=1) as service:
        for name, person in (
            ("20 KB", photographed((256, 192), 20_000)),
            ("1 MB", photographed((2048, 1536), 1_000_000)),
        ):
            files = {"person": person, "garment": drawn_garment(1, SIZE)}
            seconds: dict[str, list[float]] = {name: [] for name in _WAYS}
            for number in range(WARM + trial.requests):
                started = time.perf_counter()
                online, online_stages = service.timed(files, number)
                between = time.perf_counter()
                made = chain.run(_batch(recipe.task, files, number))
                ended = time.perf_counter()
                bare_s = service.bare(files)
                direct_s = sum(float(made[f"seconds_{stage}"][0]) for stage in online_stages)
                taken = (between - started, sum(online_stages.values()), ended - between, direct_s, bare_s)
                for values, value in zip(seconds.values(), taken, strict=True):
                    values.append(value)
                if online != (direct := made["picture"][0]):
                    raise ValueError(f"void: seed {number} gave {_sha(online)} online and {_sha(direct)} directly")
            seconds = {name: values[WARM:] for name, values in seconds.items()}
            found[name] = {"bytes": len(person)} | seconds
    return found


def haproxy(trial: ServeTrial) -> dict[str, Any]:
    """The same through HAProxy, which Ray Serve starts in place of its own proxy."""
    os.environ["RAY_SERVE_ENABLE_HA_PROXY"] = "1"  # read when Ray is imported, in `served`
    return overhead(trial)


def saturation(trial: ServeTrial) -> dict[str, Any]:
    """Pictures a second: of the device's stages, of a batch job, of the service, and of one with `@serve.batch`."""
    job = _job(trial)
    with served(trial, with_timer=True) as service:
        callers = 4 * offered(RECIPE, {}).batch_size
        return {
            "stages": _stages(trial.seconds),
            "job": job,
            "service": asdict(service.load(callers=callers, seconds=trial.seconds)),
            "timer": asdict(service.load(callers=callers, seconds=trial.seconds, prefix="/timer")),
            "spread": {
                name: asdict(service.load(callers=100, rate=trial.full_rate, seconds=trial.seconds, prefix=prefix))
                for name, prefix in (("service", ""), ("timer", "/timer"))
                if trial.full_rate
            },
        }


def curve(trial: ServeTrial) -> dict[str, Any]:
    """What callers wait at shares of the full rate."""
    with served(trial) as service:
        loads = {share: share * trial.full_rate for share in trial.shares}
        # Callers enough that each is back for its next turn: a turn takes 30 s.
        return {
            str(share): asdict(service.load(callers=max(8, int(30 * rate)), rate=rate, seconds=trial.seconds))
            for share, rate in loads.items()
        }


def cold(trial: ServeTrial) -> dict[str, Any]:
    """Seconds of a first request to a model that sleeps, and of the next."""
    scaling = ScalingSettings(min_replicas=0, max_replicas=1, zero_after_s=1.0, down_after_s=1.0)
    files = {"person": drawn_person(1, SIZE), "garment": drawn_garment(1, SIZE)}
    with served(trial, batch_size=1, scaling=scaling.model_dump()) as service:
        # Asleep, and its process gone, too: a start is cold only then.
        until = time.monotonic() + ASLEEP_WITHIN_S
        while not service.client.get("/v1/models").json()["models"][0]["is_asleep"] or _replica_lives():
            if time.monotonic() > until:
                raise TimeoutError(f"{RECIPE}: is asked for nothing, and was not asleep within {ASLEEP_WITHIN_S:g} s")
            time.sleep(0.5)
        started = time.perf_counter()
        first = service.make(files, 7)
        between = time.perf_counter()
        if service.make(files, 7) != first:
            raise ValueError("void: a model gave other pictures after its start")
        return {"cold": between - started, "warm": time.perf_counter() - between}


PARTS: dict[str, Callable[[ServeTrial], dict[str, Any]]] = {
    "overhead": overhead,
    "haproxy": haproxy,
    "saturation": saturation,
    "curve": curve,
    "cold": cold,
}


@contextmanager
def served(trial: ServeTrial, *, with_timer: bool = False, with_bare: bool = False, **model: Any) -> Iterator[Service]:
    """A service of one model while it is asked."""
    folder = Path(trial.folder)
    places = {name: str(folder / name) for name in ("store", "database", "keys")}
    settings = ServeSettings.model_validate({"models": [{"recipe": RECIPE, **model}], **places})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service = Service(folder, settings, port)
    launch.start(settings, host="127.0.0.1", port=port)
    try:
        if with_timer:
            from benchmarks.timer import serve_by_timer

            serve_by_timer(settings)
        if with_bare:
            from benchmarks.bare import serve_bare

            serve_bare(_BARE)
        yield service
    finally:
        launch.stop()


def photographed(size: tuple[int, int], num_bytes: int) -> bytes:
    """A drawn person of (H, W) pixels with a little grain, as a JPEG of about so many bytes."""
    with Image.open(BytesIO(drawn_person(1, size))) as picture:
        pixels = np.asarray(picture, np.float32)
    grain = np.random.default_rng(0).normal(0, 1, pixels.shape)
    grainy = Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))
    files = []
    for quality in range(60, 101):
        file = BytesIO()
        grainy.save(file, "JPEG", quality=quality)
        files.append(file.getvalue())
    return min(files, key=lambda data: abs(len(data) - num_bytes))


def _replica_lives() -> bool:
    """Whether a process below this one is the model's replica."""
    for child in psutil.Process().children(recursive=True):
        try:
            if f"ServeReplica:default:{RECIPE}" in " ".join(child.cmdline()):
                return True
        except psutil.Error:  # gone since the tree was read
            continue
    return False


def _job(trial: ServeTrial) -> float:
    """Pictures a second of a batch job on one device, once it runs: a GPU, or else one worker of one thread.

    By the times at which it stored them: a line through all but the first quarter, so that its start is not counted.
    """
    folder = Path(trial.folder) / "job"
    folder.mkdir()
    (folder / "person.png").write_bytes(drawn_person(1, SIZE))
    (folder / "garment.png").write_bytes(drawn_garment(1, SIZE))
    rows = int(_JOB_ROWS_A_SECOND * trial.seconds)
    catalog = folder / "catalog.csv"
    lines = [f"row-{index:05d},try_on,person.png,garment.png" for index in range(rows)]
    catalog.write_text("\n".join(["item_id,task,person,garment", *lines]) + "\n")
    batch = Trial(
        system="job",
        recipe=RECIPE,
        rows=rows,
        catalog=str(catalog),
        folder=str(folder),
        num_accelerators=min(1, torch.cuda.device_count()),
        is_single=True,
    )
    apart(batch, folder)
    stored = sorted(path.stat().st_mtime for path in Path(batch.output, "pictures").rglob("*") if path.is_file())
    return 1 / fit(list(enumerate(stored))[rows // 4 :]).marginal_s


_JOB_ROWS_A_SECOND = 6
"""So many rows a second of a load that a job takes a little longer than one."""


def _stages(seconds: float) -> float:
    """Rows a second of the device's part on full batches in a bare loop, with nothing around it."""
    from serving.models.engine import Engine

    engine = Engine(offered(RECIPE, {}))
    files = {"person": drawn_person(1, SIZE), "garment": drawn_garment(1, SIZE)}
    rows = [engine.read(Ask(inputs=files, seeds=(7,)), 7)] * engine.sizes.largest
    engine.make(rows)
    started, made = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        made += len(engine.make(rows))
    return made / (time.perf_counter() - started)


def _batch(task: str, files: dict[str, bytes], seed: int) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "item_id": ["online"],
        "variant": np.zeros(1, np.int32),
        "task": [task],
        "seed": np.asarray([seed], np.int64),
        "prompt": [""],
        **{f"{name}_bytes": column([files.get(name, b"")]) for name in ("person", "garment", *_OPTIONAL)},
    }
    return new_batch(columns)


_OPTIONAL = ("garment_mask", "parse", "keypoints")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def main() -> None:
    """Runs the part that the specification names."""
    import os

    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    values = json.loads(Path(sys.argv[1]).read_text())
    trial = ServeTrial(**values | {"shares": tuple(values["shares"])})
    Path(sys.argv[2]).write_text(json.dumps(PARTS[trial.part](trial)))


if __name__ == "__main__":
    main()
