"""The whole judgement of a try-on, written down: `eval.json`, the tables of it and a sheet of pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from atelier.evaluation.held_out import held_out_try_ons
from atelier.evaluation.perception import PCK_SHARE, judge_perception
from atelier.evaluation.report import protocol, summary, versions
from atelier.evaluation.sheet import comparison_sheet
from atelier.evaluation.tables import tables
from atelier.evaluation.try_on import REPAINTED, JudgedItem, Judgement, judge
from atelier.recipes import try_on

SIZE = (256, 192)
_SHEET_ITEMS = 16


def evaluate_try_on(*, weights: str, parser: str, pose: str, num_items: int, seed: int, out: Path) -> str:
    """Judges weights on held-out items, with parse and keypoints given and with the models' own; gives the tables.

    Args:
        weights, parser, pose: shipped names or folders.
        out: folder for `eval.json`, `tables.md` and `sheet.jpg`.

    Raises:
        WeightsError: no such weights, or weights that do not fit.
    """
    recipe = try_on(name="judged", size=SIZE, weights=weights, parser=parser, pose=pose, repaint=True, batch_size=4)
    items = list(held_out_try_ons(num_items, seed=seed, size=SIZE))
    shown, given = _judged(judge(recipe, items, maps_given=True))
    _, found = _judged(judge(recipe, items, maps_given=False, baselines=False))
    perception = judge_perception(parser, pose, items)
    record: dict[str, Any] = {
        "protocol": protocol(num_items=num_items, seed=seed, size=SIZE) | {"pck_share_of_height": PCK_SHARE},
        "digests": dict(recipe.digests()),
        "versions": dict(versions()),
        "maps_given": summary(given),
        "maps_by_models": summary(found),
        "perception": dataclasses.asdict(perception),
        "items": [dataclasses.asdict(one) for one in given],
    }
    out.mkdir(parents=True, exist_ok=True)
    text = tables(record)
    (out / "eval.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / "tables.md").write_text(text, encoding="utf-8")
    comparison_sheet(shown, REPAINTED).save(out / "sheet.jpg", quality=88)
    return text


def _judged(judged: Iterable[JudgedItem]) -> tuple[list[JudgedItem], list[Judgement]]:
    """The first items with their pictures, for the sheet, and what all of them score."""
    shown: list[JudgedItem] = []
    scores: list[Judgement] = []
    for one in judged:
        if len(shown) < _SHEET_ITEMS:
            shown.append(one)
        scores.extend(one.judgements)
    return shown, scores
