"""An evaluation on paper: `eval.json` and the pairs' own scores, and a table for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from atelier import storage
from atelier.evaluation.sets.record import ByTask, Evaluation
from atelier.evaluation.sets.sides import Excluded

_DECIMALS, _SHOWN = 6, 5
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
    """`write_by_task` of one evaluation."""
    write_by_task(ByTask({"": evaluation}), out)


def write_by_task(evaluated: ByTask, out: str) -> None:
    """Puts `eval.json` into a folder or `s3://` prefix and, of paired sets, `pairs.csv` beside it.

    Keys are sorted, floats rounded to six decimals. `pairs.csv` has a column `task` where there are several.
    """
    text = json.dumps(_rounded(evaluated.to_json()), indent=1, sort_keys=True, ensure_ascii=False)
    pairs = [(task, pair) for task, evaluation in evaluated.evaluations.items() for pair in evaluation.pairs]
    if pairs:
        sheet = io.StringIO()
        writer = csv.writer(sheet, lineterminator="\n")
        first = [] if evaluated.only is not None else ["task"]
        writer.writerow([*first, "made", "true", "ssim", "psnr", "lpips"])
        for task, pair in pairs:
            scores = (_cell(value) for value in (pair.ssim, pair.psnr, pair.lpips))
            writer.writerow([*([task] if first else []), pair.made, pair.true, *scores])
        storage.put(storage.join(out, "pairs.csv"), sheet.getvalue().encode(), content_type="text/csv")
    storage.put(storage.join(out, "eval.json"), f"{text}\n".encode(), content_type="application/json")


def table_by_task(evaluated: ByTask) -> str:
    """The scores of every task for a terminal, and last the items that are no task's."""
    if (only := evaluated.only) is not None:
        return table(only)
    tables = [f"{task or 'no task'}\n{table(evaluation)}" for task, evaluation in evaluated.evaluations.items()]
    rest = "".join(f"{line}\n" for line in _left_out(evaluated.excluded))
    return "\n".join([*tables, *([f"in no task above\n{rest}"] if rest else [])])


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
        spread = f" ± {_number(score['std'])}" if "std" in score else ""
        features = f"  ({score['features']})" if "features" in score else ""
        rows.append((_LABELS[name], f"{_number(value)}{spread}{features}"))
    rows += [(f"no {name}", reason) for name, reason in evaluation.left_out.items()]
    rows += [("note", note) for note in record["notes"]]
    wide = max(len(label) for label, _ in rows)
    lines = [f"{label:<{wide}}  {value}" for label, value in rows]
    return "\n".join([*lines, *_left_out(evaluation.excluded, wide)]) + "\n"


def _left_out(excluded: Sequence[Excluded], wide: int = 0) -> list[str]:
    lines = []
    for one in excluded:
        more = f" and {len(one.names) - _SHOWN} more" if len(one.names) > _SHOWN else ""
        lines.append(f"{'not judged':<{wide}}  {len(one.names)}, {one.reason}: {', '.join(one.names[:_SHOWN])}{more}")
    return lines


def _number(value: float) -> str:
    """Four decimals, of small ones more: a kernel distance of 0.0006 is another than one of 0.0009."""
    return f"{value:.4f}" if abs(value) >= 0.01 or value == 0 else f"{value:.6f}"


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
