"""The shapes that a network takes, held against what it was given, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from atelier.errors import ConfigError


def check_shapes(given: Mapping[str, tuple[Tensor, Sequence[int | str]]]) -> None:
    """Refuses tensors whose axes contradict what is wanted or each other. Reads shapes alone: no device waits.

    Args:
        given: by name, a tensor and its axes: a size, or a word for a size that all tensors with the word share, whose
            first tensor says it.

    Raises:
        ConfigError: names the first that is off, its shape and the one expected.
    """
    sizes: dict[str, int] = {}
    of: dict[str, str] = {}
    for name, (tensor, axes) in given.items():
        shape = tuple(tensor.shape)
        if len(shape) == len(axes):
            for axis, size in zip(axes, shape, strict=True):
                if isinstance(axis, str) and axis not in sizes:
                    sizes[axis], of[axis] = size, name
        expected = [sizes.get(axis, axis) if isinstance(axis, str) else axis for axis in axes]
        if list(shape) != expected:
            words = ", ".join(map(str, axes))
            others = {of[axis]: None for axis in axes if isinstance(axis, str) and of.get(axis, name) != name}
            like = f", as {' and '.join(others)}" if others else ""
            wanted = ", ".join(map(str, expected))
            raise ConfigError(f"{name}: has shape {list(shape)}, must be [{wanted}] ({words}){like}")
