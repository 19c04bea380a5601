"""Pictures that no single person is to be found in."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.closet.negatives import KINDS, draw_negative

SIZE = (64, 48)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_function_of_its_seed_and_says_who_is_there(kind: str) -> None:
    for seed in range(4):
        one, again = (draw_negative(seed, size=SIZE, kind=kind) for _ in range(2))
        assert one.kind == kind
        assert one.image.shape == (*SIZE, 3) and one.image.dtype == np.uint8
        assert one.parse_cihp.shape == SIZE and one.keypoints.shape == (25, 3)
        assert np.array_equal(one.image, again.image)
        shows_bodies = kind in ("cut_off", "crowd")
        assert one.parse_cihp.any() == shows_bodies and one.keypoints.any() == shows_bodies
    assert kind == "studio" or not np.array_equal(one.image, draw_negative(9, size=SIZE, kind=kind).image)


def test_joints_lie_on_the_body_they_belong_to() -> None:
    for kind in ("cut_off", "crowd"):
        for seed in range(4):
            drawn = draw_negative(seed, size=(256, 192), kind=kind)
            x, y, _ = drawn.keypoints[drawn.keypoints[:, 2] > 0].T
            assert (drawn.parse_cihp[y.astype(int), x.astype(int)] > 0).mean() > 0.8


def test_seeds_name_kinds_and_strangers_are_refused() -> None:
    assert {draw_negative(seed, size=SIZE).kind for seed in range(80)} == set(KINDS)
    with pytest.raises(ValueError, match="must be one of flat_lay"):
        draw_negative(0, size=SIZE, kind="ghost")
