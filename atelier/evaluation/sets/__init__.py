"""Made pictures against true ones, set against set, by a protocol that is written down with the scores."""

from atelier.evaluation.sets.job import Job
from atelier.evaluation.sets.judge import evaluate
from atelier.evaluation.sets.presets import PROTOCOLS, named
from atelier.evaluation.sets.printing import table, write
from atelier.evaluation.sets.protocol import Protocol

__all__ = ["PROTOCOLS", "Job", "Protocol", "evaluate", "named", "table", "write"]
