"""What a person should know of a picture: scores and notes, said when it is made and kept inside its lossless file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atelier.stages.base import Batch

KEYWORD = "atelier"
"""Of the text in a lossless picture's PNG."""

_SCORE = "score_"


@dataclass(frozen=True, kw_only=True)
class Said:
    """Scores by name and notes of one picture; empty where nothing was said or is known."""

    scores: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, batch: Batch, row: int) -> Said:
        """What the stages said of a row's picture in this run. A row that they skipped carries their blanks."""
        names = [name for name in batch if name.startswith(_SCORE)]
        notes = str(batch["notes"][row]).splitlines() if "notes" in batch else ()
        return cls(
            scores={name.removeprefix(_SCORE): float(batch[name][row]) for name in names},
            notes=tuple(notes),
        )

    @classmethod
    def read(cls, text: str) -> Said:
        """What `to_text` wrote; empty where it is anything else, as in a master of an earlier version."""
        try:
            known: dict[str, Any] = json.loads(text)
            scores = {str(name): float(value) for name, value in known["scores"].items()}
            return cls(scores=scores, notes=tuple(map(str, known["notes"])))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def to_text(self) -> str:
        """JSON of one line."""
        return json.dumps({"scores": dict(self.scores), "notes": list(self.notes)}, ensure_ascii=False)
