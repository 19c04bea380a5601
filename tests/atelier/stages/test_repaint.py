"""Repainting: the person's own pixels where nothing was to change, nothing of the old garment anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atelier.closet import Look, Outfit, bottom_seed, draw_look, top_seed
from atelier.geometry.agnostic import agnostic_parse, agnostic_person
from atelier.models.viton_hd.layout import LAYOUT_OF_AGNOSTIC
from atelier.stages.repaint import kept_region, repaint

SIZE = (256, 192)


@pytest.fixture(scope="module")
def look() -> Look:
    return draw_look(person=4, outfit=Outfit(top=top_seed(4), bottom=bottom_seed(4)), pose=4, size=SIZE)


@pytest.fixture(scope="module")
def columns(look: Look) -> dict[str, torch.Tensor]:
    """A try-on whose garment lies exactly where the old one lay, painted plain green."""
    bare = np.array(LAYOUT_OF_AGNOSTIC, np.uint8)[agnostic_parse(look.parse_cihp, look.keypoints)]
    layout = np.where(np.isin(look.parse_cihp, (5, 6, 7)), 2, bare).astype(np.uint8)
    layout[np.isin(look.parse_cihp, (14, 15))] = 4
    arrays = {
        "image": np.full((*SIZE, 3), (0, 200, 0), np.uint8),
        "person": look.image,
        "agnostic_person": agnostic_person(look.image, look.parse_cihp, look.keypoints),
        "parse": look.parse_cihp,
        "layout": layout,
    }
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()}


def keep_of(columns: dict[str, torch.Tensor]) -> np.ndarray:
    names = ("person", "agnostic_person", "parse", "layout")
    return kept_region(*(columns[name] for name in names))[0, 0].numpy()


def test_face_hair_and_background_stay_to_the_bit(columns: dict[str, torch.Tensor], look: Look) -> None:
    image = repaint(**columns)[0].numpy()
    same = (image == look.image).all(-1)
    assert same[:8].all() and same[:, :4].mean() > 0.8
    assert same[look.parse_cihp == 13].mean() > 0.6
    assert same[np.isin(look.parse_cihp, (9, 12))].mean() > 0.8


def test_garment_neck_and_arms_are_the_generator_s(columns: dict[str, torch.Tensor], look: Look) -> None:
    worn = np.isin(look.parse_cihp, (5, 6, 7, 10, 14, 15))
    assert keep_of(columns)[worn].max() == 0
    assert (repaint(**columns)[0].numpy()[worn] == (0, 200, 0)).all()


def test_the_edge_is_soft_and_lies_inside_what_is_kept(columns: dict[str, torch.Tensor]) -> None:
    keep = keep_of(columns)
    hidden = (columns["person"] != columns["agnostic_person"]).any(-1)[0].numpy()
    parse, layout = (columns[name][0].numpy() for name in ("parse", "layout"))
    background = (parse == 0) & (layout == 0)
    assert keep[hidden & ~np.isin(parse, (1, 2)) & ~background].max() == 0
    assert ((keep > 0) & (keep < 1)).mean() > 0.01 and keep.max() == 1


def test_background_under_the_cover_is_the_picture_s_own(columns: dict[str, torch.Tensor]) -> None:
    keep = keep_of(columns)
    hidden = (columns["person"] != columns["agnostic_person"]).any(-1)[0].numpy()
    background = (columns["parse"][0].numpy() == 0) & (columns["layout"][0].numpy() == 0)
    assert keep[hidden & background].mean() > 0.5


def test_a_new_garment_beyond_the_old_one_is_not_painted_over(columns: dict[str, torch.Tensor]) -> None:
    wider = {**columns, "layout": columns["layout"].clone()}
    wider["layout"][0, -40:] = 2
    assert keep_of(wider)[-40:].max() == 0
