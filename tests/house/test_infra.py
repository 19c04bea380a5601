"""What stands in `infra/` is true of the code: commands parse, names resolve, settings pass, jobs fit."""

from __future__ import annotations

import argparse
import importlib
import itertools
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import yaml
from ray.scripts import scripts
from ray.serve.schema import ServeDeploySchema

from pipelines import jobs
from pipelines.placement import Machine, place
from serving.api import models as model_routes
from serving.api.access import Access, is_loopback
from serving.database_url import PASSWORD
from serving.deployments import Ingress
from serving.environment import ENVIRONMENT
from serving.offered import offered
from serving.settings import Limits, ServeSettings
from tests.house.image import instructions
from training.launch.request import TrainRequest
from training.world import World

ROOT = Path(__file__).resolve().parents[2]
KUBERAY = ROOT / "infra" / "kuberay"
TEXTS = sorted(
    file
    for file in (ROOT / "infra").rglob("*")
    if file.is_file() and file.suffix not in (".py", ".pyc") and "__pycache__" not in file.parts
)
PLACEHOLDER, BUCKET = "BUCKET", "some-bucket"
OPERATIONS = ROOT / "docs" / "operations.md"


class _Parsed(Exception):
    def __init__(self, arguments: argparse.Namespace) -> None:
        super().__init__(arguments)
        self.arguments = arguments


def parsed(command: str, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    """What a program's own parser makes of a command line; the program goes no further."""
    python, dash_m, module, *words = shlex.split(command)
    assert (python, dash_m) == ("python", "-m"), command
    main = importlib.import_module(f"{module}.__main__").main
    whole = argparse.ArgumentParser.parse_args

    def only_parse(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        raise _Parsed(whole(self, args, namespace))

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
        patch.setattr(sys, "argv", [module, *words])
        try:
            main()
        except _Parsed as stopped:
            return stopped.arguments
        except SystemExit as refused:
            raise AssertionError(f"{command}: refused with status {refused.code}") from refused
    raise AssertionError(f"{command}: never parsed its arguments")


@cache
def kustomization() -> dict[str, Any]:
    return yaml.safe_load((KUBERAY / "kustomization.yaml").read_text())


@cache
def manifests() -> dict[str, dict[str, Any]]:
    """All objects as `kubectl apply -k` sends them, by kind and name: the bucket is in its place."""
    files = [KUBERAY / name for name in kustomization()["resources"]]
    found = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    for replacement in kustomization()["replacements"]:
        assert replacement["source"] == {"kind": "ConfigMap", "name": "atelier-settings", "fieldPath": "data.bucket"}
        for target in replacement["targets"]:
            chosen = [one for one in found if _is_chosen(one, target["select"])]
            assert chosen, f"nothing is selected by {target['select']}"
            for one, path in itertools.product(chosen, target["fieldPaths"]):
                _replace(one, path.split("."), **target["options"])
    return {f"{one['kind']} {one['metadata']['name']}": one for one in found}


def _is_chosen(one: Mapping[str, Any], select: Mapping[str, str]) -> bool:
    return one["kind"] == select["kind"] and select.get("name", one["metadata"]["name"]) == one["metadata"]["name"]


def _replace(one: Any, path: list[str], *, delimiter: str, index: int) -> None:
    for name in path[:-1]:
        one = one[int(name) if isinstance(one, list) else name]
    last: Any = int(path[-1]) if isinstance(one, list) else path[-1]
    parts = one[last].split(delimiter)
    assert parts[index] == PLACEHOLDER, f"{path}: part {index} between slashes is {parts[index]!r}"
    one[last] = delimiter.join([*parts[:index], BUCKET, *parts[index + 1 :]])


def clusters() -> dict[str, dict[str, Any]]:
    found = {name: one.get("spec", {}) for name, one in manifests().items()}
    named = {name: spec.get("rayClusterSpec") or spec.get("rayClusterConfig") for name, spec in found.items()}
    return {name: spec for name, spec in named.items() if spec}


def pods(value: Any) -> Iterator[dict[str, Any]]:
    """Every pod's spec in an object."""
    return (part for part in _parts(value) if "containers" in part)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts(inner)


def group(cluster: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in cluster["workerGroupSpecs"] if one["groupName"] == name)


def container(of_group: Mapping[str, Any]) -> dict[str, Any]:
    return of_group["template"]["spec"]["containers"][0]


@cache
def serve_configs() -> dict[str, dict[str, Any]]:
    by_hand = {file.name: yaml.safe_load(file.read_text()) for file in (ROOT / "infra").glob("*.yaml")}
    in_cluster = manifests()["RayService atelier-service"]["spec"]["serveConfigV2"]
    return {**by_hand, "service.yaml": yaml.safe_load(in_cluster)}


def commands() -> list[str]:
    """Every `python -m …` that infra runs, and that a person is told to type."""
    found = [one["spec"]["entrypoint"] for one in manifests().values() if one["kind"] == "RayJob"]
    containers = [inner for one in manifests().values() for pod in pods(one) for inner in pod["containers"]]
    found += [shlex.join(one["command"]) for one in containers if one.get("command", [""])[0] == "python"]
    found += [shlex.join(yaml.safe_load(line.removeprefix("CMD "))) for line in instructions() if line[:4] == "CMD "]
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", OPERATIONS.read_text(), flags=re.DOTALL)).replace("\\\n", " ")
    typed = [line.partition("  #")[0].strip() for line in blocks.splitlines() if line.startswith("python -m")]
    return [*found, *typed]


def test_every_command_line_is_one_that_the_program_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = commands()

    assert len(lines) >= 8
    for line in lines:
        parsed(line, monkeypatch)


def test_infra_names_only_the_planes_entries_and_each_is_there() -> None:
    text = "\n".join(file.read_text() for file in TEXTS)
    programs = set(re.findall(r"(?:python|python3)[\s,]+-m[\s,]+(\w+)", text))
    objects = set(re.findall(r"\b((?:atelier|pipelines|training|serving)(?:\.\w+)+:\w+)", text))

    assert programs - {"venv"} == {"pipelines", "training"}
    assert objects == {"serving.app:build_app", "serving.proxy:middlewares"}
    for name in objects:
        module, _, attribute = name.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute)), name


def test_kustomization_reaches_every_manifest_every_image_and_every_address() -> None:
    written = {file.name for file in KUBERAY.glob("*.yaml")} - {"kustomization.yaml"}
    found = manifests()

    assert set(kustomization()["resources"]) == written
    assert [name for name, one in found.items() if f"//{PLACEHOLDER}/" in yaml.safe_dump(one)] == []
    buckets = re.findall(r"s3://([^/\s]+)", "".join(yaml.safe_dump(one) for one in found.values()))
    assert set(buckets) == {BUCKET}
    images = {inner["image"] for one in found.values() for pod in pods(one) for inner in pod["containers"]}
    assert images == {image["name"] for image in kustomization()["images"]}
    components = {one["metadata"]["labels"]["app.kubernetes.io/component"] for one in found.values()}
    assert components == {"shared", "catalog", "training", "export", "serving"}
    assert components <= set(re.findall(r"\w+", OPERATIONS.read_text()))


def test_clusters_ask_for_rays_token_and_run_as_nobody_in_particular() -> None:
    found = clusters()

    assert len(found) == 3
    for name, cluster in found.items():
        assert cluster["authOptions"] == {"mode": "token", "secretName": "atelier-ray"}, name
        assert cluster["rayVersion"] == ray.__version__, name
        assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP", name
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0", name
    for name, one in manifests().items():
        for pod in pods(one):
            assert pod["securityContext"]["runAsNonRoot"] is True, name
            for inner in pod["containers"]:
                assert inner["securityContext"]["allowPrivilegeEscalation"] is False, name
                assert inner["resources"]["limits"]["memory"] == inner["resources"]["requests"]["memory"], name
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            assert {mount["name"] for inner in pod["containers"] for mount in inner.get("volumeMounts", [])} <= volumes


def test_every_pod_stands_behind_the_network_policy() -> None:
    for name, one in manifests().items():
        templates = [part for part in _parts(one) if "spec" in part and "containers" in part["spec"]]
        for template in templates:
            labels = template["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "atelier", name
            assert labels["app.kubernetes.io/component"] == one["metadata"]["labels"]["app.kubernetes.io/component"]
    policy = manifests()["NetworkPolicy atelier"]["spec"]
    assert policy["podSelector"] == {"matchLabels": {"app.kubernetes.io/part-of": "atelier"}}
    everybody = [rule for rule in policy["ingress"] if "from" not in rule]
    assert everybody == []


def test_the_nights_job_fits_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = manifests()["RayJob atelier-catalog"]["spec"]
    told = parsed(spec["entrypoint"], monkeypatch)
    workers = group(spec["rayClusterSpec"], "gpu")
    limits = container(workers)["resources"]["limits"]
    # A job looks once, when it starts, at what there is.
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"]
    machine = Machine(
        num_cpus=workers["replicas"] * int(limits["cpu"]), num_gpus=workers["replicas"] * int(limits["nvidia.com/gpu"])
    )
    job = importlib.import_module("pipelines.__main__")._job(told)

    assert job.name in jobs.JOBS
    assert job.num_accelerators == machine.num_gpus
    for recipe in job.recipes:
        place(recipe, job, machine).check(machine)


def test_training_has_a_gpu_a_worker_and_the_time_to_keep_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = manifests()["RayJob atelier-training"]["spec"]
    told = parsed(spec["entrypoint"], monkeypatch)
    workers = group(spec["rayClusterSpec"], "spot")
    pod, inner = workers["template"]["spec"], container(workers)
    run = TrainRequest(run=told.name, output="out", overrides={}).resolved()

    assert told.workers == (workers["minReplicas"], workers["maxReplicas"])
    assert (
        workers["replicas"] == workers["minReplicas"]
    )  # what KubeRay waits for; the run looks for GPUs when it starts
    assert inner["resources"]["limits"]["nvidia.com/gpu"] == "1"
    for num_workers in told.workers:
        World(rank=0, num_workers=num_workers, local_rank=0, device=torch.device("cpu")).rows(run.batch_size)
    assert told.resume and told.launcher == "ray"
    assert {"containerPort": told.metrics_port, "name": "training"} in inner["ports"]
    assert str(told.cache) in {mount["mountPath"] for mount in inner["volumeMounts"]}
    assert {"key": "pool", "operator": "Equal", "value": "spot", "effect": "NoSchedule"} in pod["tolerations"]
    assert "nodeSelector" not in spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    told_ray, _, then = inner["lifecycle"]["preStop"]["exec"]["command"][-1].partition("&&")
    ray_program, command, *words = shlex.split(told_ray)
    assert (ray_program, command) == ("ray", scripts.drain_node.name)
    notice = scripts.drain_node.make_context(command, words).params
    assert shlex.split(then) == ["sleep", str(notice["deadline_remaining_seconds"])]
    assert pod["terminationGracePeriodSeconds"] > notice["deadline_remaining_seconds"]


def test_what_training_writes_is_what_export_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = parsed(manifests()["RayJob atelier-training"]["spec"]["entrypoint"], monkeypatch)
    [pod] = pods(manifests()["Job atelier-export"])
    exported = parsed(shlex.join(pod["containers"][0]["command"]), monkeypatch)

    assert (exported.name, exported.output) == (trained.name, trained.output)
    assert exported.to.startswith("/weights/")
    writable = [mount for mount in pod["containers"][0]["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/weights"]


@pytest.mark.parametrize("name", sorted(serve_configs()))
def test_serve_configs_are_rays_and_ours(name: str) -> None:
    config = serve_configs()[name]
    schema = ServeDeploySchema.model_validate(config)
    [app] = schema.applications
    settings = ServeSettings.model_validate(app.args)
    weights = {one.name: one.user_config["weights"] for one in app.deployments if isinstance(one.user_config, dict)}

    # Ray takes a misspelt name without a word.
    assert schema.http_options is not None
    for model, told in [
        (schema, config),
        (schema.http_options, config["http_options"]),
        (app, config["applications"][0]),
    ]:
        assert set(told) <= set(type(model).model_fields)
    for model, told in zip(app.deployments, config["applications"][0]["deployments"], strict=True):
        assert set(told) <= set(type(model).model_fields), told["name"]
    assert app.import_path == "serving.app:build_app"
    assert not settings.anonymous
    assert set(weights) == {model.recipe for model in settings.models}
    assert {one.name for one in app.deployments} - set(weights) <= {Ingress.name}
    for recipe, chosen in weights.items():
        offered(recipe, chosen).check()


def test_the_service_finds_its_volumes_its_environment_and_its_probe() -> None:
    cluster = clusters()["RayService atelier-service"]
    [app] = ServeDeploySchema.model_validate(serve_configs()["service.yaml"]).applications
    settings = ServeSettings.model_validate(app.args)
    door = group(cluster, "ingress")
    mounted = {mount["mountPath"] for mount in container(door)["volumeMounts"]}

    assert {str(Path(settings.keys).parent), str(Path(settings.database).parent)} <= mounted
    assert settings.store.startswith("s3://")
    secrets = {one["secretRef"]["name"] for one in container(door)["envFrom"] if one["secretRef"]["optional"]}
    assert secrets == {"atelier-store", "atelier-database"} and f"from-literal={PASSWORD}=" in OPERATIONS.read_text()
    for one in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        environment = {variable["name"]: variable["value"] for variable in container(one)["env"]}
        assert ENVIRONMENT.items() <= environment.items(), one.get("groupName", "head")
    for one in cluster["workerGroupSpecs"]:
        assert one["template"]["spec"]["terminationGracePeriodSeconds"] > settings.drain_s

    # What has jobs and keys runs where their volumes are; models where GPUs are.
    ingress = next(one for one in app.deployments if one.name == Ingress.name)
    wanted = ingress.ray_actor_options.resources
    offered_there = yaml.safe_load(yaml.safe_load(door["rayStartParams"]["resources"]))
    assert set(wanted) <= set(offered_there) and door["maxReplicas"] == settings.ingress_replicas == 1
    gpus = group(cluster, "gpu")
    assert all(model.num_gpus > 0 for model in settings.models)
    most = sum(model.num_gpus * model.most_replicas for model in settings.models)
    assert most <= gpus["maxReplicas"] * int(container(gpus)["resources"]["limits"]["nvidia.com/gpu"])
    assert any(model.scaling and model.scaling.min_replicas == 0 for model in settings.models)
    host = serve_configs()["service.yaml"]["http_options"]
    assert not is_loopback(host["host"])

    probe = container(door)["readinessProbe"]["httpGet"]
    router = model_routes.routes({}, {}, (), Access(None), Limits())
    assert probe == {"path": "/healthz", "port": host["port"]}
    assert probe["path"] in [getattr(route, "path", "") for route in router.routes]


def test_nothing_holds_a_secret_or_a_path_of_some_machine() -> None:
    secret = re.compile(
        r"AKIA[0-9A-Z]{12}|BEGIN [A-Z ]*PRIVATE KEY|whsec_\w{8}|atl_[0-9a-f]{8}_"
        r"|(?i:password|passwd|access_?key|secret_?key|auth_?token|api_?key)\w*\s*[:=]\s*[\"']?[A-Za-z0-9+/_-]{12,}"
    )
    machine = re.compile(r"(?<![\w.])/(?:work|root|home|Users|tmp)/")
    for file in [*TEXTS, OPERATIONS]:
        text = file.read_text()
        assert secret.search(text) is None, f"{file.name}: {secret.search(text)}"
        assert machine.search(text) is None, f"{file.name}: {machine.search(text)}"
    assert not any(one["kind"] == "Secret" for one in manifests().values())
