"""The whole judgement of a system that makes people, written down: `eval.json`, its tables, a sheet of pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atelier.errors import ConfigError
from atelier.evaluation.people.held_out import HeldOutPerson, held_out_descriptions, held_out_transfers
from atelier.evaluation.people.instruments import Instruments
from atelier.evaluation.people.judge import Pictures, baselines, made_by, scored_by
from atelier.evaluation.people.resampling import CONFIDENCE, NUM_DRAWS
from atelier.evaluation.people.scores import PCK_SHARE, ItemScores, differences, figures, measured
from atelier.evaluation.people.sheet import people_sheet
from atelier.evaluation.people.tables import tables
from atelier.evaluation.pictures import PSNR_CAP, SSIM_PROTOCOL
from atelier.evaluation.report import versions
from atelier.recipe import Recipe

_ITEMS = {"pose_transfer": held_out_transfers, "text_to_person": held_out_descriptions}
_SHEET_ITEMS = 16
_FEWEST = 48
"""Items: fewer pictures than half the parser's features say nothing of the distance between sets."""
_READ = ("keypoint_agreement", "parse_agreement", "closet_fd")


def evaluate_people(
    recipes: Mapping[str, Recipe], *, num_items: int, seed: int, parser: str, pose: str, out: Path
) -> str:
    """Judges recipes of one task side by side on held-out items, with what needs no network beside; gives the tables.

    Args:
        recipes: method → recipe, all of one task and size; the first is the one that the others are held against.
        parser, pose: shipped names or folders of the networks that read the pictures.
        out: folder for `eval.json`, `tables.md` and `sheet.jpg`.

    Raises:
        ConfigError: recipes of several tasks or sizes, too few items, or an item that a stage gave up.
        WeightsError: no such weights, or weights that do not fit.
    """
    task, size = _common(recipes)
    if num_items < _FEWEST:
        raise ConfigError(f"items: are {num_items}, must be at least {_FEWEST} for a distance between sets")
    items: list[HeldOutPerson] = list(_ITEMS[task](num_items, seed=seed, size=size))
    instruments = Instruments.load(parser=parser, pose=pose)
    score = scored_by(instruments, items)
    pictures: dict[str, Pictures] = baselines(items)
    seconds: dict[str, float] = {}
    for method, recipe in recipes.items():
        pictures[method], seconds[method] = made_by(recipe, items)
    scores = {method: score(made) for method, made in pictures.items()}
    measures = {method: measured(those) for method, those in scores.items()}
    truth = figures(measured(score(np.stack([item.truth for item in items]))))
    judged = next(iter(recipes))
    record: dict[str, Any] = {
        "task": task,
        "judged": judged,
        "protocol": _protocol(num_items=num_items, seed=seed, size=size, features=instruments.features.name),
        "digests": {method: dict(recipe.digests()) for method, recipe in recipes.items()}
        | {"instruments": dict(instruments.digests)},
        "recipes": {method: [stage.identity() for stage in recipe.stages] for method, recipe in recipes.items()},
        "versions": dict(versions()),
        "seconds_per_picture": {method: round(value, 3) for method, value in seconds.items()},
        "methods": {method: _rounded(figures(those)) for method, those in measures.items()},
        "true_pictures": {name: figure for name, figure in _rounded(truth).items() if name in _READ},
        "differences": {
            method: _rounded(differences(measures[judged], those))
            for method, those in measures.items()
            if method != judged
        },
        "items": [
            {"item_id": item.item_id, **{method: _told(those[row]) for method, those in scores.items()}}
            for row, item in enumerate(items)
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    text = tables(record)
    (out / "eval.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / "tables.md").write_text(text, encoding="utf-8")
    people_sheet(_shown(items[:_SHEET_ITEMS], pictures, recipes)).save(out / "sheet.jpg", quality=88)
    return text


def _common(recipes: Mapping[str, Recipe]) -> tuple[str, tuple[int, int]]:
    kinds = {(recipe.task, recipe.size) for recipe in recipes.values()}
    if len(kinds) != 1:
        raise ConfigError(f"recipes: are of {sorted(kinds)}; all must be of one task and working size")
    [(task, size)] = kinds
    if task not in _ITEMS:
        raise ConfigError(f"task: is {task!r}, must be one of {sorted(_ITEMS)}")
    return task, size


def _protocol(*, num_items: int, seed: int, size: tuple[int, int], features: str) -> dict[str, Any]:
    return {
        "items": num_items,
        "seed": seed,
        "size": list(size),
        "held_out": "people, clothes and poses with seeds from 1,000,000 up",
        "given": "pose_transfer: source, its parse and the true target keypoints; text_to_person: caption and regions",
        "intervals": f"{CONFIDENCE:.0%}, bootstrap over items, {NUM_DRAWS} draws, the same for every method; "
        "closet-FD: 1.96 deviations of 200 draws about the value",
        "person": "pixels of any label in the true parse",
        "garment": "pixels of upper clothes, dress, coat, pants or skirt in the true parse",
        "ssim": SSIM_PROTOCOL,
        "psnr": f"of the region's mean squared error, per item, at most {PSNR_CAP:.0f} dB; then averaged",
        "ciede2000": "mean over the region's pixels, per item; then averaged",
        "keypoint_agreement": "joints found by the pose network within a share of the height of their true place",
        "pck_share_of_height": PCK_SHARE,
        "parse_agreement": "mIoU of the parser's map with the true one, pixel counts pooled over items",
        "closet_fd": f"Fréchet distance to the true pictures on {features}; no FID, and larger for fewer items",
        "resizing": "none: drawn at the working size",
    }


def _rounded(made: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        name: {key: round(value, 4) for key, value in dataclasses.asdict(figure).items()}
        for name, figure in made.items()
    }


def _told(score: ItemScores) -> dict[str, Any]:
    regions = {"person": score.person, "garment": score.garment}
    told: dict[str, Any] = {
        name: None if region is None else {key: round(value, 4) for key, value in dataclasses.asdict(region).items()}
        for name, region in regions.items()
    }
    return told | {"joints": list(score.joints)}


def _shown(
    items: Sequence[HeldOutPerson], pictures: Mapping[str, Pictures], recipes: Mapping[str, Recipe]
) -> dict[str, list[np.ndarray]]:
    given = [item.shown() for item in items]
    columns = {heading: [shown[heading] for shown in given] for heading in given[0]}
    columns |= {method: list(pictures[method][: len(items)]) for method in recipes}
    return columns | {"true answer": [item.truth for item in items]}
