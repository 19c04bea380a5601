"""The image that infra builds, line by line."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "image"


def instructions() -> list[str]:
    """The Dockerfile's lines, each with what continues it."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.strip() for line in text.splitlines()]
