"""Made pictures against true ones, set against set, by a protocol that is written down with the scores."""

from atelier.evaluation.sets.catalogs import is_output
from atelier.evaluation.sets.job import Job
from atelier.evaluation.sets.judge import evaluate, evaluate_by_task
from atelier.evaluation.sets.presets import PROTOCOLS, named
from atelier.evaluation.sets.printing import table, table_by_task, write, write_by_task
from atelier.evaluation.sets.protocol import Protocol

__all__ = [
    "PROTOCOLS",
    "Job",
    "Protocol",
    "evaluate",
    "evaluate_by_task",
    "is_output",
    "named",
    "table",
    "table_by_task",
    "write",
    "write_by_task",
]
