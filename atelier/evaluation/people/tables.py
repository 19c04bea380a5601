"""The tables of a judgement of made people, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atelier.evaluation.people.scores import METRICS

_TITLES = {"ssim": "SSIM", "psnr": "PSNR", "ciede2000": "CIEDE2000"}
_REGIONS = {"person": "Inside the person (true positions):", "garment": "Inside the garments (true positions):"}
_READ = {"keypoint_agreement": "keypoints", "parse_agreement": "parse mIoU", "closet_fd": "closet-FD"}
_DIGITS = {"psnr": 2, "ciede2000": 2, "closet_fd": 2}


def tables(record: Mapping[str, Any]) -> str:
    """All tables of an `eval.json`."""
    methods, first = record["methods"], record["judged"]
    lines: list[str] = []
    for region, heading in _REGIONS.items():
        names = [f"{region}_{name}" for name in _TITLES]
        lines += [heading, "", *_header("method", *(_title(name) for name in names))]
        lines += [_row(_label(method, first), figures, names) for method, figures in methods.items()]
        lines.append("")
    share = record["protocol"]["pck_share_of_height"]
    lines += [f"As our own networks read them (keypoints within {share:.0%} of the height):", ""]
    lines += _header("method", *(_title(name) for name in _READ))
    lines += [_row(_label(method, first), figures, list(_READ)) for method, figures in methods.items()]
    lines.append(_row("true pictures", record["true_pictures"], list(_READ)))
    if record["differences"]:
        lines += ["", f"{first} minus each other method; **bold** where the 95 % interval excludes zero:", ""]
        lines += _header("minus", *(_title(name) for name in METRICS))
        lines += [
            f"| {method} | " + " | ".join(_difference(name, figures[name]) for name in METRICS) + " |"
            for method, figures in record["differences"].items()
        ]
    return "\n".join(lines) + "\n"


def _title(name: str) -> str:
    arrow = "↑" if METRICS[name] else "↓"
    if name in _READ:
        return f"{_READ[name]} {arrow}"
    region, _, score = name.partition("_")
    return f"{region} {_TITLES[score]} {arrow}"


def _label(method: str, first: str) -> str:
    return f"**{method}**" if method == first else method


def _header(*titles: str) -> Sequence[str]:
    return ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]


def _row(label: str, figures: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> str:
    return f"| {label} | " + " | ".join(_cell(name, figures[name]) if name in figures else "–" for name in names) + " |"


def _cell(name: str, figure: Mapping[str, float]) -> str:
    digits = _digits(name)
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"


def _difference(name: str, figure: Mapping[str, float]) -> str:
    digits = _digits(name)
    told = f"{figure['value']:+.{digits}f} ({figure['low']:+.{digits}f} to {figure['high']:+.{digits}f})"
    return f"**{told}**" if figure["low"] > 0 or figure["high"] < 0 else told


def _digits(name: str) -> int:
    return _DIGITS.get(name.removeprefix("person_").removeprefix("garment_"), 3)
