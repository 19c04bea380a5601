"""A real service on loopback, deployed as `serve deploy` does it, asked, given other weights, and asked again.

`python drive_service.py SETTINGS PORT WEIGHTS` prints one JSON object: what a test may want to know.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from serving import launch
from serving.keys import KeyRing
from serving.models.samples import drawn_garment, drawn_person
from serving.settings import ServeSettings

NAME = "viton_hd_closet"
STOPPED = "atelier_loops_stopped_total"
POSED = {"person": drawn_person(1, (128, 96))}
FILES = {"person": drawn_person(1, (256, 192)), "garment": drawn_garment(1, (256, 192))}


def main() -> None:
    told, port, weights = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2]), sys.argv[3]
    settings = ServeSettings.model_validate(told)
    key = KeyRing(settings.keys).add("shop", ["make", "jobs", "models"])
    launch.start_empty(settings, host="127.0.0.1", port=port)
    try:
        found: dict[str, Any] = {"first_pid": deploy(told, told["models"][0]["weights"])}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            found["no_key"] = client.get("/v1/models").json()["code"]
            client.headers["Authorization"] = f"Bearer {key}"
            found["first"] = make(client, {})
            # Serve would end this after a millisecond, did its proxy not drop the header.
            found["in_haste"] = make(client, {"X-Request-Timeout-Seconds": "0.001"})
            leave(port, key)
            job = client.post("/v1/jobs", files=FILES, data={"task": "try_on", "seed": "7"}).json()
            found["events"] = client.get(f"/v1/jobs/{job['id']}/events").text
            found["picture"] = client.get(f"/v1/jobs/{job['id']}/pictures/0").content.hex()
            found["cancelled"] = cancel(client)
            leave_running(client, port)
            found["waiting"] = client.get("/v1/models").json()["models"][0]["waiting"]
            found["third_pid"] = deploy(told, {"weights": "/nowhere"})
            found["third"] = make(client, {})
            found["refused"] = until_refused(client)
            found["second_pid"] = deploy(told, {"weights": weights})
            found["second"] = until_other(client, found["first"])
            found["metrics"] = metrics()
    finally:
        launch.stop()
    sys.stdout.write(json.dumps(found))


def deploy(told: dict[str, Any], weights: dict[str, str]) -> int:
    """Deploys declaratively, waits, and gives the process of the model's replica."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    client = _get_global_client()
    app = {
        "name": "default",
        "route_prefix": "/",
        "import_path": "serving.app:build_app",
        "args": told,
        "deployments": [{"name": NAME, "user_config": {"weights": weights}}],
    }
    client.deploy_apps(ServeDeploySchema.model_validate({"applications": [app]}))
    while True:
        time.sleep(0.5)
        details = client.get_serve_details()["applications"]["default"]
        if details["status"] in ("DEPLOY_FAILED", "UNHEALTHY"):
            raise SystemExit(f"not deployed: {details['message']}")
        if details["status"] == "RUNNING":
            (replica,) = details["deployments"][NAME]["replicas"]
            return replica["pid"]


def make(client: httpx.Client, headers: dict[str, str]) -> str:
    answer = client.post("/v1/try-on", files=FILES, data={"seed": "7"}, headers=headers)
    assert answer.status_code == 200, answer.text
    return base64.b64decode(answer.json()["samples"][0]["picture"]).hex()


def until_other(client: httpx.Client, first: str) -> str:
    for _ in range(100):
        if (picture := make(client, {})) != first:
            return picture
        time.sleep(0.1)
    return first


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


def leave_running(client: httpx.Client, port: int) -> None:
    """A caller who goes while the picture is made."""
    request = client.build_request("POST", "/v1/pose-transfer", files=POSED, data={"pose": "standing"})
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        connection.sendall(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        while not client.get("/v1/models").json()["models"][1]["running"]:
            pass


def metrics() -> str:
    """What Prometheus would scrape of this node once a round of reports has come in."""
    import ray

    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    text = ""
    # The ingress and each replica report in their own time.
    wanted = ('route="/v1/try-on"', 'status="200"', 'status="401"', "atelier_batch_rows_bucket", STOPPED)
    for _ in range(120):
        text = httpx.get(address).text
        if all(words in text for words in wanted):
            break
        time.sleep(0.5)
    return "\n".join(line for line in text.splitlines() if "atelier_" in line)


if __name__ == "__main__":
    main()
