"""The service against what it is made of, side by side: `python -m benchmarks.serving` (about half an hour).

- overhead: a request to a real service (HTTP, keys, Ray Serve, the way to the replica and back) over a direct call of
  the recipe, by turns, picture by picture, around the stages' own seconds; the pictures are compared byte for byte.
  Beside it the same request to an ingress and a model that do nothing: what Ray Serve takes by itself.
- haproxy: the same through HAProxy, which Ray Serve can start in place of its own proxy.
- saturation: pictures a second under more callers than it can serve, over those of a batch job on the same device and
  threads; beside them full batches of the device's stages in a bare loop with nothing around it, and the same service
  with `@serve.batch`, whose batches form on a timer.
- curve: what callers wait at shares of that throughput, as a plot.
- cold: the first request to a model that has been scaled to zero.

Each trial is a process of its own with a service of its own; rounds repeat them. Callers are locust's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.footprint import start, watch
from benchmarks.load import Loaded
from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table
from benchmarks.plot import write_lines
from benchmarks.serve_trial import PARTS, ServeTrial

AIMS_MS = {"20 KB": 20.0, "1 MB": 40.0}
"""By size of the person's picture: what a service may add to the median."""
SHARE_AIM = 0.95
_WORDS = {"service": "the service", "timer": "the same with `@serve.batch`"}
SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.2)
SPREAD = 0.7
"""Share of the full rate at which the two ways of batching are compared."""
QUIET = 0.1
PLOT = Path("docs/serving_latency.svg")


class Bench:
    """Runs trials below a folder; `tell` hears what is about to run, `plot` is where the curve goes."""

    def __init__(self, folder: Path, tell: Callable[[str], None], *, requests: int, seconds: float, plot: Path) -> None:
        self.plot = plot
        self._folder, self._tell, self._requests, self._seconds = folder, tell, requests, seconds
        self.others: list[float] = []
        self._num_trials = 0

    def run(self, part: str, **fields: Any) -> dict[str, Any]:
        """What a trial found.

        Raises:
            RuntimeError: it failed; with the end of what it said.
        """
        self._num_trials += 1
        folder = self._folder / str(self._num_trials)
        folder.mkdir()
        trial = ServeTrial(part=part, folder=str(folder), requests=self._requests, seconds=self._seconds, **fields)
        self._tell(f"{part}, trial {self._num_trials}")
        spec, result, said = folder / "trial.json", folder / "found.json", folder / "said.txt"
        spec.write_text(json.dumps(asdict(trial)))
        with said.open("wb") as out:
            command = [sys.executable, "-m", "benchmarks.serve_trial", str(spec), str(result)]
            process = start(command, out)
            self.others.append(watch(process).others)
        if process.returncode or not result.is_file():
            raise RuntimeError(f"{trial} failed:\n{said.read_text(errors='replace')[-4000:]}")
        return json.loads(result.read_text())

    def verdict(self, holds: bool) -> str:
        """Whether an aim is met; none where others were busy too."""
        if statistics.median(self.others) > QUIET:
            return "no verdict"
        return "met" if holds else "missed"


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=50, help="of each size, for the overhead")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    add_output_options(parser, "serving")
    options = parser.parse_args()
    if "curve" in options.parts and "saturation" not in options.parts:
        parser.error("--parts: the curve is by shares of what saturation finds; name it too")
    console, machine = Console(), describe()
    found: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder),
            lambda line: console.print(line, style="dim", highlight=False),
            requests=options.requests,
            seconds=options.seconds,
            plot=PLOT if options.write else options.json.with_suffix(".svg"),
        )
        tables: list[Table | str] = []
        full_rate = 0.0
        for part in (name for name in PARTS if name in options.parts):
            fields: dict[str, Any] = {}
            if part == "curve":
                fields = {"shares": SHARES, "full_rate": full_rate}
            found[part] = []
            for _ in range(1 if part == "curve" else options.rounds):
                if part == "saturation" and full_rate:
                    fields = {"full_rate": SPREAD * full_rate}
                found[part].append(bench.run(part, **fields))
                if part == "saturation":
                    rates = [_loaded(one["service"]).pictures_a_second for one in found[part]]
                    full_rate = statistics.median(rates)
            tables += TOLD[part](bench, found[part], full_rate)
        tables.append(_notes(bench, options))
    figures = {"machine": machine, "others": bench.others, "found": found}
    conclude(options, "serving", figures, tables, console=console)


def _overhead(bench: Bench, found: Sequence[Mapping[str, Any]], _full_rate: float) -> list[Table | str]:
    table = markdown_table(
        "person's picture",
        "direct p50 ms",
        "service p50 ms",
        "added around the stages at p50, ms",
        "range over rounds",
        "of it Ray Serve alone",
        "added at p95",
        "aim",
    )
    for name, aim_ms in AIMS_MS.items():
        rounds = [one[name] for one in found]
        # Around the stages: their own seconds are the same work in both, and drift with the machine.
        around = [{way: _differences(one[way], one[f"{way}_stages"]) for way in ("direct", "http")} for one in rounds]
        added = [1000 * (statistics.median(one["http"]) - statistics.median(one["direct"])) for one in around]
        late = [1000 * (_p95(one["http"]) - _p95(one["direct"])) for one in around]
        middle = statistics.median(added)
        table.add_row(
            f"{name} ({found[0][name]['bytes']:,} bytes)",
            f"{1000 * statistics.median(second for one in rounds for second in one['direct']):.0f}",
            f"{1000 * statistics.median(second for one in rounds for second in one['http']):.0f}",
            f"{middle:.1f}",
            f"{min(added):.1f} to {max(added):.1f}",
            f"{1000 * statistics.median(second for one in rounds for second in one['bare']):.1f}",
            f"{statistics.median(late):.1f}",
            f"{aim_ms:.0f}: {bench.verdict(middle <= aim_ms)}",
        )
    return [table]


def _haproxy(bench: Bench, found: Sequence[Mapping[str, Any]], full_rate: float) -> list[Table | str]:
    return ["The same behind HAProxy (`RAY_SERVE_ENABLE_HA_PROXY=1`):", *_overhead(bench, found, full_rate)]


def _differences(whole: Sequence[float], part: Sequence[float]) -> list[float]:
    return [one - other for one, other in zip(whole, part, strict=True)]


def _saturation(bench: Bench, found: Sequence[Mapping[str, Any]], full_rate: float) -> list[Table | str]:
    table = markdown_table(
        "under saturation", "pictures/s", "share of the batch job's", "range over rounds", "p95 s", "aim"
    )
    jobs = [one["job"] for one in found]
    loads = {name: [_loaded(one[name]) for one in found] for name in ("service", "timer")}
    rates = {
        "the batch job": jobs,
        "the device's stages in a bare loop": [one["stages"] for one in found],
        **{_WORDS[name]: [load.pictures_a_second for load in those] for name, those in loads.items()},
    }
    for words, values in rates.items():
        shares = [rate / job for rate, job in zip(values, jobs, strict=True)]
        share = statistics.median(shares)
        late = [load.percentile(0.95) for name, those in loads.items() if _WORDS[name] == words for load in those]
        table.add_row(
            words,
            f"{statistics.median(values):.2f}",
            f"{share:.1%}",
            f"{min(shares):.1%} to {max(shares):.1%}" if values is not jobs else "",
            f"{statistics.median(late):.2f}" if late else "",
            f"{SHARE_AIM:.0%}: {bench.verdict(share >= SHARE_AIM)}" if words == _WORDS["service"] else "",
        )
    spread = [one["spread"] for one in found if one["spread"]]
    if not spread:
        return [table]
    side = markdown_table("at 70% of that rate, evenly spread", "pictures/s", "p50 s", "p95 s", "refused or failed")
    for name, words in _WORDS.items():
        those = [_loaded(one[name]) for one in spread]
        side.add_row(
            words,
            f"{statistics.median(load.pictures_a_second for load in those):.2f}",
            f"{statistics.median(load.percentile(0.5) for load in those):.2f}",
            f"{statistics.median(load.percentile(0.95) for load in those):.2f}",
            f"{sum(load.refused + load.failed for load in those)}",
        )
    return [table, side]


def _curve(bench: Bench, found: Sequence[Mapping[str, Any]], full_rate: float) -> list[Table | str]:
    table = markdown_table(
        "share of saturation asked for", "asked/s", "pictures/s", "p50 s", "p95 s", "refused", "failed"
    )
    loads = {float(share): _loaded(values) for share, values in found[0].items()}
    for share, load in loads.items():
        table.add_row(
            f"{share:.0%}",
            f"{share * full_rate:.2f}",
            f"{load.pictures_a_second:.2f}",
            f"{load.percentile(0.5):.2f}",
            f"{load.percentile(0.95):.2f}",
            f"{load.refused}",
            f"{load.failed}",
        )
    lines = {
        name: [(share * full_rate, load.percentile(at)) for share, load in loads.items() if load.seconds]
        for name, at in (("median", 0.5), ("95th percentile", 0.95))
    }
    write_lines(
        bench.plot,
        title="What a caller waits, by load",
        x="requests a second",
        y="seconds",
        series=lines,
        mark=full_rate,
    )
    return [table, f"![Latency by load]({bench.plot.name})"]


def _cold(_bench: Bench, found: Sequence[Mapping[str, Any]], _full_rate: float) -> list[Table | str]:
    waits, warm = [one["cold"] for one in found], [one["warm"] for one in found]
    return [
        f"A first request to a model scaled to zero took {statistics.median(waits):.1f} s "
        f"({min(waits):.1f} to {max(waits):.1f}), the next {statistics.median(warm):.2f} s."
    ]


TOLD: Mapping[str, Callable[[Bench, Sequence[Mapping[str, Any]], float], list[Table | str]]] = {
    "overhead": _overhead,
    "haproxy": _haproxy,
    "saturation": _saturation,
    "curve": _curve,
    "cold": _cold,
}


def _loaded(values: Mapping[str, Any]) -> Loaded:
    return Loaded(**{**values, "seconds": tuple(values["seconds"])})


def _p95(seconds: Sequence[float]) -> float:
    return Loaded(seconds=tuple(seconds), refused=0, failed=0, window_s=1.0).percentile(0.95)


def _notes(bench: Bench, options: argparse.Namespace) -> str:
    others = bench.others
    return (
        "Try-on by `viton_hd_closet` at 256x192, one replica of one thread, keys and job store on, callers on the same "
        f"machine; {options.rounds} rounds, {options.requests} requests of each size, {options.seconds:g} s a load. "
        f"Others took {min(others):.0%} to {max(others):.0%} of the machine's CPU meanwhile, "
        f"{statistics.median(others):.0%} in the median; above {QUIET:.0%} no aim gets a verdict."
    )


if __name__ == "__main__":
    main()
