"""The judging protocol on a few held-out items, with a real model of a few channels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.evaluation.baselines import BASELINES
from atelier.evaluation.held_out import KINDS, HeldOutTryOn, held_out_try_ons
from atelier.evaluation.report import summary
from atelier.evaluation.sheet import comparison_sheet
from atelier.evaluation.try_on import AS_PAINTED, REPAINTED, JudgedItem, judge, judged
from atelier.models.viton_hd import VitonHD, VitonHDConfig
from atelier.recipes import try_on

SIZE = (64, 64)


@pytest.fixture(scope="module")
def items() -> list[HeldOutTryOn]:
    return list(held_out_try_ons(3, seed=5, size=SIZE))


@pytest.fixture(scope="module")
def judged_items(items: list[HeldOutTryOn], tmp_path_factory: pytest.TempPathFactory) -> list[JudgedItem]:
    torch.manual_seed(0)
    config = VitonHDConfig(
        working_size=SIZE,
        segmentation_size=(32, 32),
        segmentation_widths=(4, 4),
        blur_kernel=3,
        matching_size=SIZE,
        matching_widths=(4, 4, 4, 4),
        regression_widths=(4, 4, 4, 12),
        alias_widths=(4, 4),
        alias_hidden=4,
        alias_injected=4,
        num_misaligned_blocks=1,
    )
    folder = tmp_path_factory.mktemp("weights")
    VitonHD(config).save_pretrained(folder)
    recipe = try_on(name="tiny", size=SIZE, weights=str(folder), parser=None, pose=None, repaint=True, batch_size=2)
    return list(judge(recipe, items, maps_given=True))


def test_the_truth_itself_gets_full_marks(items: list[HeldOutTryOn]) -> None:
    judgement = judged(items[0], "truth", items[0].truth)
    assert judgement.changed.ssim == pytest.approx(1.0) and judgement.changed.ciede2000 == 0.0


def test_doing_nothing_keeps_face_and_background_and_misses_the_garment(items: list[HeldOutTryOn]) -> None:
    for item in items:
        judgement = judged(item, "person as is", BASELINES["person as is"](item.given()))
        assert judgement.kept.background == 100.0
        assert judgement.changed.ssim < judgement.whole.ssim < 1.0


def test_items_are_held_out_and_unpaired(items: list[HeldOutTryOn]) -> None:
    again = list(held_out_try_ons(2, seed=5, size=SIZE))
    assert np.array_equal(again[1].truth, items[1].truth)
    for item in items:
        assert item.kind in KINDS
        assert item.changed.any() and (item.person != item.truth).any()
        untouched = (item.parse == item.true_parse) & (item.parse == 13)
        difference = np.abs(item.person[untouched].astype(int) - item.truth[untouched])
        assert difference.mean() < 1  # what the two tops' edges tint along the chin


def test_baselines_change_only_what_they_say(items: list[HeldOutTryOn]) -> None:
    item = items[0].given()
    silhouette = BASELINES["true silhouette, mean colour"](item)
    assert np.array_equal(silhouette[~item.true_silhouette], item.person[~item.true_silhouette])
    assert len(np.unique(silhouette[item.true_silhouette], axis=0)) == 1
    pasted = BASELINES["flat garment pasted"](item)
    changed = (pasted != item.person).any(-1)
    assert 0 < changed.mean() < 0.6


def test_every_picture_of_every_item_is_scored(items: list[HeldOutTryOn], judged_items: list[JudgedItem]) -> None:
    methods = {*BASELINES, AS_PAINTED, REPAINTED}
    assert [one.item.item_id for one in judged_items] == [item.item_id for item in items]
    for one in judged_items:
        assert set(one.pictures) == {judgement.method for judgement in one.judgements} == methods
        painted, repainted = one.pictures[AS_PAINTED], one.pictures[REPAINTED]
        assert (
            np.abs(repainted.astype(int) - one.item.person).mean()
            < np.abs(painted.astype(int) - one.item.person).mean()
        )


def test_summary_means_over_items_and_is_plain_json(judged_items: list[JudgedItem]) -> None:
    judgements = [judgement for one in judged_items for judgement in one.judgements]
    means = json.loads(json.dumps(summary(judgements)))
    expected = np.mean([one.changed.ssim for one in judgements if one.method == AS_PAINTED])
    assert means["changed"][AS_PAINTED]["ssim"] == pytest.approx(expected, abs=1e-4)
    assert sum(kind["items"] for kind in means["changed_by_kind"].values()) == len(judged_items)
    assert means["kept_psnr"]["person as is"] == {"face": 100.0, "background": 100.0}


def test_sheet_shows_four_pictures_an_item(judged_items: list[JudgedItem], tmp_path: Path) -> None:
    sheet = comparison_sheet(judged_items, REPAINTED)
    assert sheet.width == 2 * 4 * SIZE[1] + 6 and sheet.height > 2 * SIZE[0]
