"""What a painted pixel is, in both label sets that a look carries."""

from __future__ import annotations

from typing import NamedTuple


class Label(NamedTuple):
    """One part of a look: its id in CIHP's 20 labels and in DeepFashion-MultiModal's 24."""

    cihp: int
    multimodal: int


BACKGROUND = Label(0, 0)
HAT = Label(1, 7)
HAIR = Label(2, 13)
GLASSES = Label(4, 8)
TOP = Label(5, 1)
DRESS = Label(6, 4)
OUTER = Label(7, 2)
SOCKS = Label(8, 18)
PANTS = Label(9, 5)
TORSO_SKIN = Label(10, 15)
SKIRT = Label(12, 3)
FACE = Label(13, 14)
ARMS = {"left": Label(14, 15), "right": Label(15, 15)}
LEGS = {"left": Label(16, 15), "right": Label(17, 15)}
SHOES = {"left": Label(18, 11), "right": Label(19, 11)}
