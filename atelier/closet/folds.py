"""Folds: soft light-and-dark creases that follow from the pose, never from chance."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import SIGN, Body
from atelier.closet.poses import SIDES
from atelier.closet.torso import CHEST, WAIST

Crease = tuple[float, float, float, float, float, float]
"""From (across, down) to (across, down), width and strength; all in head heights but the strength."""


def creased(across: np.ndarray, down: np.ndarray, creases: list[Crease]) -> np.ndarray:
    """How much light creases add, float32 [h, w]: bright on one side of each, dark on the other, fading at its ends."""
    light = np.zeros(across.shape, np.float32)
    level = down[:, down.shape[1] // 2]
    for x0, y0, x1, y1, width, strength in creases:
        rows = np.flatnonzero((level > min(y0, y1) - 0.3) & (level < max(y0, y1) + 0.3))  # it has faded further off
        if rows.size == 0:
            continue
        band = slice(int(rows[0]), int(rows[-1]) + 1)
        dx, dy = x1 - x0, y1 - y0
        length = float(np.sqrt(dx * dx + dy * dy))
        dx, dy = dx / length, dy / length
        px, py = across[band] - np.float32(x0), down[band] - np.float32(y0)
        share = (px * np.float32(dx) + py * np.float32(dy)) * np.float32(1 / length)
        aside = (py * np.float32(dx) - px * np.float32(dy)) * np.float32(1 / width)
        window = np.maximum(share * (1 - share), 0)
        window = window * window
        bump = 1 + aside * aside
        light[band] += np.float32(32 * strength) * window * aside / (bump * bump)
    return light


def torso_creases(body: Body, half: float, hem: float) -> list[Crease]:
    """Creases of a top: from the armpits (stronger with a lifted arm), at the waist (with a bow), up from the hem."""
    creases: list[Crease] = []
    for side in SIDES:
        sign, limb = SIGN[side], body.arms[side]
        lift = float(np.clip(1.2 - limb.direction(0.0)[1], 0.0, 1.6))
        creases.append((sign * half * 0.95, CHEST - 0.08, sign * half * 0.25, CHEST + 0.34, 0.06, 0.05 + 0.07 * lift))
        creases.append((sign * half * 1.0, CHEST + 0.08, sign * half * 0.55, CHEST + 0.65, 0.05, 0.05 + 0.05 * lift))
        sway = 0.09 * max(0.0, sign * body.pose.bow * 12)
        creases.append((sign * half * 0.92, WAIST - 0.12, sign * half * 0.1, WAIST + 0.1, 0.05, 0.05 + sway))
        creases.append((sign * half * 0.95, WAIST + 0.14, sign * half * 0.2, WAIST + 0.3, 0.05, 0.045 + sway))
        if hem > 2.0 and not body.pose.seated:
            creases.append((sign * half * 0.34, hem - 0.75, sign * half * 0.56, hem + 0.3, 0.07, -sign * 0.032))
    if body.pose.seated:
        creases.append((-half * 0.8, 2.0, half * 0.7, 2.06, 0.06, 0.1))
        creases.append((-half * 0.6, 2.25, half * 0.8, 2.2, 0.06, 0.1))
    return creases


def rippled(along: np.ndarray, joint: float, bend: float, across: np.ndarray) -> np.ndarray:
    """Cross folds that gather about a bent joint, float32 [h, w]."""
    aside = (along - np.float32(joint)) * np.float32(3.2)
    near = np.maximum(1 - aside * aside, 0)
    phase = aside * np.float32(2.1) + across * np.float32(0.35)
    phase = phase - np.floor(phase)
    wave = np.float32(16) * phase * (1 - phase) * (np.float32(0.5) - phase)
    return np.float32(0.035 + 0.10 * bend) * wave * near * near
