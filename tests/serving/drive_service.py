"""A real service on loopback, asked by one and by a crowd, given other weights by two commands, and asked again.

`python drive_service.py SETTINGS PORT WEIGHTS` prints one JSON object: what a test may want to know.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from serving import launch
from serving.declared import Declared, NotDeployed
from serving.keys import KeyRing
from serving.models.samples import drawn_garment, drawn_person
from serving.settings import ServeSettings

NAME = "viton_hd_closet"
CALLERS = 50
STOPPED = "atelier_loops_stopped_total"
LATENCY = "serve_http_request_latency_ms_bucket"
NAMES = (
    "atelier_request_seconds",
    "atelier_requests_total",
    "atelier_queue_seconds",
    "atelier_batch_seconds",
    "atelier_batch_rows",
    "atelier_stage_seconds",
    "atelier_step_seconds",
    STOPPED,
    "atelier_waiting",
    "atelier_asks_total",
    "atelier_jobs_total",
    "atelier_cache_lookups_total",
    "atelier_webhooks_total",
)
"""All that docs/serving.md says that Prometheus sees."""
GAUGE = "ray_atelier_waiting"
"""The one that a model at rest tells, too: the second has had nothing to do for some time at the end."""
SHARED = (f'ray_atelier_batch_rows_count{{.*"{NAME}"', f'{GAUGE}{{.*"{NAME}"', "ray_atelier_requests_total")
"""Metrics of the first model's replicas, and of the ingresses."""
POSED = {"person": drawn_person(1, (128, 96))}
FILES = {"person": drawn_person(1, (256, 192)), "garment": drawn_garment(1, (256, 192))}


def main() -> None:
    told, port, weights = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]), sys.argv[3]
    settings = ServeSettings.model_validate(told)
    key = KeyRing(settings.keys).add("shop", ["make", "jobs", "models"])
    folder = Path(sys.argv[1]).parent
    dashboard = launch.start_empty(settings, host="127.0.0.1", port=port, with_dashboard=True)
    try:
        Declared(dashboard).deploy(settings)
        found: dict[str, Any] = {"first_pids": pids()}
        found["stranger"] = httpx.get(f"{dashboard}/api/serve/applications/", timeout=60).status_code
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            found["no_key"] = client.get("/v1/models").json()["code"]
            client.headers["Authorization"] = f"Bearer {key}"
            found["first"] = make(client, {})
            # Serve would end this after a millisecond, did its proxy not drop the header.
            found["in_haste"] = make(client, {"X-Request-Timeout-Seconds": "0.001"})
            leave(port, key)
            job = client.post("/v1/jobs", files=FILES, data={"task": "try_on", "seed": "7"}).json()
            found["events"] = client.get(f"/v1/jobs/{job['id']}/events").text
            found["picture"] = client.get(f"/v1/jobs/{job['id']}/pictures/0").content.hex()
            found["again"] = twice(client)
            found["cancelled"] = cancel(client)
            leave_running(client, port)
            found["waiting"] = client.get("/v1/models").json()["models"][0]["waiting"]
            found["crowd"] = asyncio.run(crowd(port, key))
            deployed(told, {"weights": "/nowhere"}, dashboard, folder)
            found["refused"] = until_refused(client)
            found["third"], found["third_pids"] = make(client, {}), pids()
            told["models"][0]["weights"] = {"weights": cut_off(weights, folder)}
            found["cut_off"] = applied_in_vain(told, dashboard, folder)
            told["models"][0]["weights"] = {"weights": weights}
            found["said"] = applied(told, dashboard, folder)
            found["second"], found["second_pids"] = [make(client, {}) for _ in range(4)], pids()
            found["metrics"] = metrics()
            told["models"][1]["num_gpus"] = 2
            found["never"] = in_vain(told, dashboard)
    finally:
        launch.stop()
    sys.stdout.write(json.dumps(found))


def applied(told: dict[str, Any], dashboard: str, folder: Path) -> str:
    """What `python -m serving apply` says."""
    file = folder / "other.json"
    file.write_text(json.dumps(told))
    return run(sys.executable, "-m", "serving", "apply", str(file), "--dashboard", dashboard)


def cut_off(weights: str, folder: Path) -> str:
    """A folder of the same weights, of which a file ends early."""
    copy = shutil.copytree(weights, folder / "cut_off")
    largest = max(copy.glob("*.safetensors"), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1000])
    return str(copy)


def applied_in_vain(told: dict[str, Any], dashboard: str, folder: Path) -> str:
    """What `python -m serving apply` says of weights that cannot be used."""
    file = folder / "cut_off.json"
    file.write_text(json.dumps(told))
    command = (sys.executable, "-m", "serving", "apply", str(file), "--dashboard", dashboard)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def deployed(told: dict[str, Any], weights: dict[str, str], dashboard: str, folder: Path) -> None:
    """Has `serve deploy` give a model other weights, by the config that `python -m serving config` shows."""
    file = folder / "told.json"
    file.write_text(json.dumps(told))
    config = json.loads(run(sys.executable, "-m", "serving", "config", "--settings", str(file)))
    config["applications"][0]["deployments"][0]["user_config"] = {"weights": weights}
    file.write_text(json.dumps(config))
    run(str(Path(sys.executable).with_name("serve")), "deploy", str(file), "--address", dashboard)


def in_vain(told: dict[str, Any], dashboard: str) -> str:
    """What is said of a service that a model keeps from being there, since it wants what no machine has."""
    try:
        Declared(dashboard, most_s=2.0).apply(ServeSettings.model_validate(told))
    except NotDeployed as error:
        return str(error)
    return ""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pids() -> list[int]:
    """The processes of the first model's replicas."""
    from ray.serve.context import _get_global_client

    deployment = _get_global_client().get_serve_details()["applications"]["default"]["deployments"][NAME]
    return sorted(replica["pid"] for replica in deployment["replicas"])


async def crowd(port: int, key: str) -> list[tuple[int, str | None]]:
    """Fifty callers at once: the status of each, and when it is told to come again."""
    headers, limits = {"Authorization": f"Bearer {key}"}, httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, limits=limits) as client:
        asks = (
            client.post("/v1/try-on", files=FILES, data={"seed": str(seed)}, timeout=None) for seed in range(CALLERS)
        )
        answers = await asyncio.gather(*asks)
    return [(answer.status_code, answer.headers.get("retry-after")) for answer in answers]


def make(client: httpx.Client, headers: dict[str, str]) -> str:
    answer = client.post("/v1/try-on", files=FILES, data={"seed": "7"}, headers=headers)
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["samples"][0]["picture"]).hex()


def until_refused(client: httpx.Client) -> bool:
    for _ in range(100):
        if client.get("/v1/models").json()["models"][0]["has_refused"]:
            return True
        time.sleep(0.1)
    return False


def leave(port: int, key: str) -> None:
    """A caller who sends half an upload and goes."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = (
            f"POST /v1/try-on HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
        )
        connection.sendall(
            head.encode() + b'--b\r\nContent-Disposition: form-data; name="person"; filename="a"\r\n\r\n'
        )


def cancel(client: httpx.Client) -> str:
    """The state of a job that is deleted in the midst of its steps."""
    job = client.post("/v1/jobs", files=POSED, data={"task": "pose_transfer", "pose": "standing"}).json()
    path = f"/v1/jobs/{job['id']}"
    while "progress" not in (job := client.get(path).json()):
        assert job["state"] in ("queued", "running"), job
    client.delete(path)
    return client.get(path).json()["state"]


def twice(client: httpx.Client) -> int:
    """How many jobs come of the same request under one key; its end is told where nobody listens."""
    data = {"task": "try_on", "seed": "8", "webhook": json.dumps({"url": "http://127.0.0.1:9/"})}
    head = {"Idempotency-Key": "order-1"}
    return len({client.post("/v1/jobs", files=FILES, data=data, headers=head).json()["id"] for _ in range(2)})


def leave_running(client: httpx.Client, port: int) -> None:
    """A caller who goes while the picture is made."""

    def is_running() -> bool:
        return bool(client.get("/v1/models").json()["models"][1]["running"])

    while is_running():
        pass  # what was cancelled before ends with its step
    request = client.build_request("POST", "/v1/pose-transfer", files=POSED, data={"pose": "standing"})
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        while not is_running():
            pass


def metrics() -> str:
    """What Prometheus would scrape of this node once a round of reports has come in."""
    import ray

    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    text = ""
    # The ingress and each replica report in their own time.
    wanted = ('route="/v1/try-on"', 'status="200"', 'status="401"', 'state="cancelled"', *NAMES)
    for _ in range(120):
        text = httpx.get(address, timeout=60).text
        if (
            all(words in text for words in wanted)
            and len(replicas(text, GAUGE)) == 3
            and all(len(replicas(text, one)) == 2 for one in SHARED)
            and re.search(rf"^ray_{STOPPED}{{.*}} 2", text, re.MULTILINE)  # the second may come in a later round
            and all(line.endswith(" 0.0") for line in text.splitlines() if line.startswith(f"{GAUGE}{{"))  # this too
        ):
            break
        time.sleep(0.5)
    return "\n".join(line for line in text.splitlines() if "atelier_" in line or LATENCY in line)


def replicas(text: str, start: str) -> set[str]:
    """The processes that tell of a metric whose lines begin so."""
    lines = [line for line in text.splitlines() if re.match(start, line)]
    return {found for line in lines for found in re.findall('WorkerId="([^"]+)"', line)}


if __name__ == "__main__":
    main()
