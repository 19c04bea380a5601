"""Label names of published parsers, in CIHP's ids."""

from __future__ import annotations

import pytest
import torch

from atelier.errors import WeightsError
from atelier.models.parsing.labels import CIHP, Sides, cihp_ids, mirrored_parse

ATR = (
    *("Background", "Hat", "Hair", "Sunglasses", "Upper-clothes", "Skirt", "Pants", "Dress", "Belt", "Left-shoe"),
    *("Right-shoe", "Face", "Left-leg", "Right-leg", "Left-arm", "Right-arm", "Bag", "Scarf"),
)
LIP = (
    *("Background", "Hat", "Hair", "Glove", "Sunglasses", "Upper-clothes", "Dress", "Coat", "Socks", "Pants"),
    *("Jumpsuits", "Scarf", "Skirt", "Face", "Left-arm", "Right-arm", "Left-leg", "Right-leg", "Left-shoe"),
    "Right-shoe",
)
FASHN = (
    *("background", "face", "hair", "top", "dress", "skirt", "pants", "belt", "bag", "hat", "scarf", "glasses"),
    *("arms", "hands", "legs", "feet", "torso", "jewelry"),
)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (CIHP, list(range(20))),
        (ATR, [0, 1, 2, 4, 5, 12, 9, 6, 9, 18, 19, 13, 16, 17, 14, 15, 0, 11]),
        (LIP, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 6, 11, 12, 13, 14, 15, 16, 17, 18, 19]),
    ],
)
def test_published_sets_by_name(names: tuple[str, ...], expected: list[int]) -> None:
    assert [sides.left for sides in cihp_ids(dict(enumerate(names)), "x")] == expected
    assert [sides.right for sides in cihp_ids(dict(enumerate(names)), "x")] == expected


def test_names_without_a_side_have_two_ids() -> None:
    ids = cihp_ids(dict(enumerate(FASHN)), "x")
    assert ids[FASHN.index("hands")] == Sides(14, 15)
    assert ids[FASHN.index("feet")] == Sides(18, 19)
    assert ids[FASHN.index("top")] == Sides(5, 5)


def test_unknown_names_are_all_listed() -> None:
    with pytest.raises(WeightsError, match=r"'LABEL_1', 'tail'.*no known part.*right shoe"):
        cihp_ids({0: "background", 1: "LABEL_1", 2: "tail"}, "folder")
    with pytest.raises(WeightsError, match="must be 0 to 1"):
        cihp_ids({0: "background", 2: "hat"}, "folder")


def test_mirror_exchanges_left_and_right() -> None:
    parse = torch.tensor([[[14, 0, 5], [19, 16, 2]]], dtype=torch.uint8)
    assert mirrored_parse(parse).tolist() == [[[5, 0, 15], [2, 17, 18]]]
    assert torch.equal(mirrored_parse(mirrored_parse(parse)), parse)
