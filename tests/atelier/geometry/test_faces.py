"""How many people look out of a parse, and whether anybody does."""

from __future__ import annotations

import numpy as np
import pytest

from atelier.closet import draw_look, outfit_for
from atelier.closet.negatives import draw_negative
from atelier.geometry.faces import count_faces, face_notes

FACE = 13


def face_map(*squares: tuple[int, int, int], size: tuple[int, int] = (256, 192)) -> np.ndarray:
    """Squares of face: row, column, side."""
    parse = np.zeros(size, np.uint8)
    for row, column, side in squares:
        parse[row : row + side, column : column + side] = FACE
    return parse


@pytest.mark.parametrize(
    ("squares", "count"),
    [
        ([], 0),
        ([(40, 40, 20)], 1),
        ([(40, 40, 20), (40, 120, 20)], 2),
        ([(40, 40, 20), (60, 120, 14)], 2),  # one stands behind
        ([(40, 40, 20), (150, 150, 6)], 1),  # a speck on a print
        ([(40, 40, 20), (40, 64, 16)], 1),  # the same face behind a hand
        ([(40, 40, 3), (200, 150, 3)], 0),  # specks alone
    ],
)
def test_faces_are_counted_by_size_and_distance(squares: list[tuple[int, int, int]], count: int) -> None:
    assert count_faces(face_map(*squares)) == count


def test_a_map_of_any_size_is_read_alike() -> None:
    small = face_map((40, 40, 20), (40, 120, 20))
    assert count_faces(np.kron(small, np.ones((4, 4), np.uint8))) == 2


def test_drawn_people_are_one_and_crowds_are_two() -> None:
    size = (256, 192)
    for seed in range(12):
        assert count_faces(draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=size).parse_cihp) == 1
    crowds = [count_faces(draw_negative(seed, size=size, kind="crowd").parse_cihp) for seed in range(12)]
    assert crowds.count(2) >= 10  # in some the one in front covers the other's face


def test_a_speck_of_face_is_none_of_the_persons() -> None:
    drawn = [
        draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=(128, 96)).parse_cihp for seed in range(12)
    ]
    without = [np.where(parse == FACE, 0, parse) for parse in drawn]
    specks = [parse.copy() for parse in without]
    for parse in specks:  # of a print, as parsers take it
        parse[60:64, 46:51] = FACE
    assert face_notes(np.stack(drawn)) == [""] * 12
    for faceless in (without, specks, [np.zeros((128, 96), np.uint8)]):
        assert all(note.startswith("face_not_visible: ") for note in face_notes(np.stack(faceless)))
