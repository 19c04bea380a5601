"""What alerts and dashboard ask for is exported: by our planes, or by the Ray that is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import ray.serve
import yaml
from ray.util.metrics import Counter, Gauge, Histogram

from atelier.recipes import RECIPES
from pipelines.metrics import RunMetrics
from serving.api.tasks import tasks_of
from serving.metrics import ModelMetrics, RequestMetrics
from training.watch.gauges import Gauges
from training.watch.memory import Memory
from training.watch.observer import RunFacts, StepReport, ValidationReport

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "infra" / "prometheus"
WORDS = {
    "sum", "rate", "increase", "changes", "histogram_quantile", "hour", "and", "on", "by", "ignoring",
}  # fmt: skip
"""Of PromQL, as far as it is used here."""
SCRAPED = {"le", "ray_io_cluster"}
"""Labels of a histogram's buckets, and those that the scrape adds."""


def alerts() -> list[dict[str, Any]]:
    return [
        rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
    ]


def panels() -> list[dict[str, Any]]:
    return json.loads((ROOT / "infra" / "grafana" / "atelier.json").read_text())["panels"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


@cache
def exported() -> dict[str, set[str]]:
    """The labels of every series that there is, by its name as Prometheus has it."""
    ours = [metric for of in (RunMetrics(), ModelMetrics("m"), RequestMetrics()) for metric in vars(of).values()]
    found: dict[str, set[str]] = {}
    for metric in ours:
        name, labels = f"ray_{metric.info['name']}", set(metric.info["tag_keys"])
        if isinstance(metric, Histogram):
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        elif isinstance(metric, Counter):
            found[name if name.endswith("_total") else f"{name}_total"] = labels
        elif isinstance(metric, Gauge):
            found[name] = labels
    code = "\n".join(file.read_text() for file in Path(ray.serve.__file__).parent.joinpath("_private").glob("*.py"))
    found |= {f"ray_{name}": {"deployment", "application"} for name in re.findall(r'"(serve_\w+)"', code)}
    return found | {name: labels for name, (labels, _) in scraped().items()}


@cache
def scraped() -> dict[str, tuple[set[str], set[str]]]:
    """What a training's own port answers: by name the labels, and the values of the label `name`."""
    gauges = Gauges(0)
    losses = {"generator": {"total": 1.0}}
    memory = Memory(resident_bytes=1, accelerator_peak_bytes=1)
    gauges.started(RunFacts(run="r", first_step=0, num_steps=10, batch_size=1))
    report = StepReport(
        step=1, losses=losses, samples_per_s=1.0, step_s=1.0, gradient_norms={"generator": 1.0}, memory=memory
    )
    gauges.stepped(report)
    gauges.validated(ValidationReport(step=1, metrics={"ssim": 0.5}, grid=None, seconds=1.0))
    with urllib.request.urlopen(f"http://127.0.0.1:{gauges.port}/metrics", timeout=10) as reply:
        text = reply.read().decode()
    gauges.stopped(1, "done")
    found: dict[str, tuple[set[str], set[str]]] = {}
    for name, inside in re.findall(r"^(\w+)\{(.*)\}", text, flags=re.MULTILINE):
        labels, curves = found.setdefault(name, (set(), set()))
        told = dict(re.findall(r'(\w+)="([^"]*)"', inside))
        labels.update(told)
        curves.update([told["name"]] if "name" in told else [])
    return found


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_series_and_label_is_exported(where: str, expression: str) -> None:
    there, labelled = exported(), set[str]()
    series = re.sub(r"\b(?:by|on|ignoring)\s*\([^)]*\)|\[[^]]*\]", "", expression)
    for name, inside in re.findall(r"([a-z_]\w*)(\{[^}]*\})?", series):
        if name in WORDS:
            continue
        assert name in there, f"{where}: nobody exports {name}"
        labelled |= there[name]
        for label, value in re.findall(r'(\w+)\s*(?:=~|!=|!~|=)\s*"([^"]*)"', inside):
            assert label in there[name], f"{where}: {name} has the labels {sorted(there[name])}, not {label}"
            if (name, label) == ("training_number", "name"):
                curves = scraped()[name][1]
                assert any(re.fullmatch(value, curve) for curve in curves), f"{where}: there is no curve {value}"
    for labels in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", expression):
        wanted = {label.strip() for label in labels.split(",") if label.strip()}
        assert wanted <= labelled | SCRAPED, f"{where}: {sorted(wanted - labelled - SCRAPED)} label nothing in it"


def test_slow_requests_are_those_that_make_pictures() -> None:
    [rule] = [rule for rule in alerts() if rule["alert"] == "ServiceSlow"]
    [routes] = re.findall(r'route=~"([^"]*)"', rule["expr"])
    paths = [task.path for task in tasks_of([make() for make in RECIPES.values()]).values()]

    assert len(paths) == 3
    assert all(re.fullmatch(routes, path) for path in [*paths, "/v1/images/edits", "/v1/images/generations"])
    assert not re.fullmatch(routes, "/v1/jobs/{job_id}/events")


def test_every_alert_is_tried_and_told() -> None:
    names = {rule["alert"] for rule in alerts()}
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    table = re.findall(r"^\| `(\w+)` \| .{40,} \|$", (ROOT / "docs" / "operations.md").read_text(), flags=re.MULTILINE)

    assert fired == names
    assert set(table) == names
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus; it is not here")
def test_alerts_fire_when_they_should() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", str(PROMETHEUS / "alerts_test.yaml")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_has_its_rows_and_nothing_lies_on_anything() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == ["Batch", "Serving", "Training"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23
