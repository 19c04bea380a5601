"""An evaluation on paper: `eval.json` and the pairs' own scores, and a table for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from atelier import storage
from atelier.evaluation.sets.record import Evaluation

_DECIMALS = 6
_LABELS = {
    "ssim": "SSIM ↑",
    "psnr": "PSNR ↑",
    "lpips": "LPIPS ↓",
    "fid": "FID ↓",
    "kid": "KID ↓",
    "frechet_distance": "Fréchet distance ↓",
    "kernel_distance": "kernel distance ↓",
}


def write(evaluation: Evaluation, out: str) -> None:
    """Puts `eval.json` into a folder or `s3://` prefix and, of a paired one, `pairs.csv` beside it.

    Keys are sorted, floats rounded to six decimals.
    """
    text = json.dumps(_rounded(evaluation.to_json()), indent=1, sort_keys=True, ensure_ascii=False)
    if evaluation.pairs:
        sheet = io.StringIO()
        writer = csv.writer(sheet, lineterminator="\n")
        writer.writerow(["made", "true", "ssim", "psnr", "lpips"])
        for pair in evaluation.pairs:
            writer.writerow([pair.made, pair.true, *(_cell(value) for value in (pair.ssim, pair.psnr, pair.lpips))])
        storage.put(storage.join(out, "pairs.csv"), sheet.getvalue().encode(), content_type="text/csv")
    storage.put(storage.join(out, "eval.json"), f"{text}\n".encode(), content_type="application/json")


def table(evaluation: Evaluation) -> str:
    """The scores for a terminal, with what they are of and what is missing."""
    record = evaluation.to_json()
    height, width = evaluation.size
    sets = ", ".join(f"{facts['num_pictures']:,} {name}" for name, facts in record["sets"].items())
    rows = [
        ("protocol", f"{evaluation.protocol.name}: {evaluation.protocol.summary}"),
        ("pictures", f"{sets}; {record['mode']}, {height}x{width}"),
    ]
    for name, score in record["scores"].items():
        value = score.get("mean", score.get("value"))
        spread = f" ± {score['std']:.4f}" if "std" in score else ""
        features = f"  ({score['features']})" if "features" in score else ""
        rows.append((_LABELS[name], f"{value:.4f}{spread}{features}"))
    rows += [(f"no {name}", reason) for name, reason in evaluation.left_out.items()]
    rows += [("note", note) for note in record["notes"]]
    wide = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{wide}}  {value}" for label, value in rows) + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.{_DECIMALS}f}"
