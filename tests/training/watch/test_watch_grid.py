"""The page that shows rows side by side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from training.watch.validation.grid import grid_picture


@dataclasses.dataclass(frozen=True)
class _Row:
    item_id: str
    cells: tuple[np.ndarray, ...]
    note: str = "SSIM 0.700"


@pytest.mark.parametrize(
    ("shape", "expected"), [((256, 192), (256, 192)), ((32, 24), (128, 96)), ((640, 480), (320, 240))]
)
def test_cells_are_neither_lost_nor_larger_than_a_page_bears(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    red = np.zeros((*shape, 3), np.uint8)
    red[..., 0] = 255
    page = np.asarray(grid_picture(["one"], [_Row("a", (red,))], {"ssim": 0.7}, title="run · step 1"))
    where = np.argwhere((page == (255, 0, 0)).all(2))
    assert tuple(where.max(0) - where.min(0) + 1) == expected


def test_grid_of_many_rows_grows_in_bands() -> None:
    cell = np.zeros((256, 192, 3), np.uint8)
    pages = [
        grid_picture(["a", "b"], [_Row(str(n), (cell, cell)) for n in range(count)], {}, title="t") for count in (4, 8)
    ]
    assert pages[0].height == pages[1].height and pages[1].width > 1.8 * pages[0].width


def test_a_long_title_is_not_cut() -> None:
    cell = np.zeros((64, 48, 3), np.uint8)
    pages = [
        grid_picture(["one"], [_Row("a", (cell,))], {}, title=title)
        for title in ("run", "a run of a very long name" * 3)
    ]
    assert pages[1].width > pages[0].width
    margin = np.asarray(pages[1])[:80, -10:]
    assert (margin == margin[0, 0]).all()
