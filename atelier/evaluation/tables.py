"""The tables of a judgement, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_OURS = ("as painted", "repainted")


def tables(record: Mapping[str, Any]) -> str:
    """All tables of an `eval.json`."""
    given, found = record["maps_given"], record["maps_by_models"]
    methods = list(given["changed"])
    lines = ["Inside the union of the true and the original garment's masks:", ""]
    lines += _header("method", "SSIM ↑", "PSNR ↑", "CIEDE2000 ↓")
    lines += [_row(_label(name), given["changed"][name]) for name in methods]
    lines += [_row(f"{_label(name)}, parse and keypoints by the models", found["changed"][name]) for name in _OURS]
    lines += ["", "The same by the garment's pattern, SSIM / CIEDE2000:", ""]
    lines += _header("pattern", "items", *(_label(name) for name in methods))
    for kind, row in given["changed_by_kind"].items():
        cells = [f"{row[name]['ssim']:.3f} / {row[name]['ciede2000']:.1f}" for name in methods]
        lines.append(f"| {kind} | {row['items']} | " + " | ".join(cells) + " |")
    lines += ["", "PSNR in dB to the input where nothing should change:", ""]
    lines += _header("method", "face", "background")
    lines += [
        f"| {_label(name)} | {given['kept_psnr'][name]['face']:.1f} | {given['kept_psnr'][name]['background']:.1f} |"
        for name in _OURS
    ]
    lines += ["", "The whole picture:", ""]
    lines += _header("method", "SSIM ↑", "PSNR ↑", "CIEDE2000 ↓")
    lines += [_row(_label(name), given["whole"][name]) for name in methods]
    share = record["protocol"]["pck_share_of_height"]
    lines += ["", "Parser and keypoint network:", ""]
    lines += _header("parser mIoU ↑", f"pose PCK at {share:.0%} of the height ↑")
    lines.append(f"| {record['perception']['parser_miou']:.3f} | {record['perception']['pose_pck']:.3f} |")
    return "\n".join(lines) + "\n"


def _header(*titles: str) -> Sequence[str]:
    return ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]


def _row(label: str, scores: Mapping[str, float]) -> str:
    return f"| {label} | {scores['ssim']:.3f} | {scores['psnr']:.2f} | {scores['ciede2000']:.2f} |"


def _label(method: str) -> str:
    return f"**ours, {method}**" if method in _OURS else method
