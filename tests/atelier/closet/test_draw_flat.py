"""Flat lays: every category and pattern, a mask that fits, and the same cloth as on the body."""

import numpy as np
import pytest

from atelier.closet import CATEGORIES, contact_sheet, draw_flat, garment_category, garment_seed
from atelier.closet.garments import PATTERNS, garment_from

SIZE = (256, 192)


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("number", [0, 100_001])
def test_every_category_lies_inside_the_picture(category, number):
    flat = draw_flat(garment=garment_seed(category, number), size=SIZE)
    assert flat.category == category
    assert flat.image.shape == (*SIZE, 3) and flat.mask.shape == SIZE
    assert set(np.unique(flat.mask)) == {0, 1}
    assert 0.1 < flat.mask.mean() < 0.75
    assert flat.mask[4:-4, 4:-4].sum() == flat.mask.sum()
    assert ("T-shirt" if category == "t-shirt" else category) in flat.caption


def test_what_the_mask_leaves_out_is_the_light_background():
    for seed in range(20):
        flat = draw_flat(garment=seed, size=SIZE)
        padded = np.pad(flat.mask, 8, mode="edge")
        near = np.zeros(SIZE, bool)
        for dy in range(0, 17, 4):
            for dx in range(0, 17, 4):
                near |= padded[dy : dy + SIZE[0], dx : dx + SIZE[1]] > 0
        assert flat.image[~near].min() > 215


def test_every_pattern_is_drawn():
    drawn = {}
    for seed in range(400):
        drawn.setdefault(garment_from(seed).pattern, seed)
    assert set(drawn) == set(PATTERNS)
    for pattern, seed in drawn.items():
        flat = draw_flat(garment=seed, size=SIZE)
        inside = flat.image[flat.mask == 1].astype(int)
        assert (inside.std(0).max() > 12) or pattern == "solid"


def test_a_mirrored_garment_is_nearly_symmetric():
    mask = draw_flat(garment=garment_seed("t-shirt", 3), size=SIZE).mask
    assert (mask == mask[:, ::-1]).mean() > 0.99


def test_any_integer_is_a_garment():
    for seed in (-1, -123_456, 0, 10**12, 2**70):
        assert garment_category(seed) in CATEGORIES
        assert draw_flat(garment=seed, size=(64, 48)).mask.any()


def test_a_category_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="cape"):
        garment_seed("cape", 1)


def test_a_size_too_small_to_draw_is_refused():
    with pytest.raises(ValueError, match="size"):
        draw_flat(garment=1, size=(4, 4))


def test_a_contact_sheet_holds_every_picture():
    pictures = [np.full((20, 10, 3), value, np.uint8) for value in (10, 20, 30)]
    page = np.asarray(contact_sheet(pictures, 2, gap_px=1))
    assert page.shape == (43, 23, 3)
    assert page[1, 1, 0] == 10 and page[1, 12, 0] == 20 and page[22, 1, 0] == 30
    with pytest.raises(ValueError, match="columns"):
        contact_sheet([], 2)
    with pytest.raises(ValueError, match="shapes"):
        contact_sheet([pictures[0], pictures[0][:5]], 2)
