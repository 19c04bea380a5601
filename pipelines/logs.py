"""Logging of the command line: words for people, or a JSON object a line for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

LogMode = Literal["text", "json"]

_EVENTS = logging.getLogger("pipelines.events")


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, event or logger, message, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(mode: LogMode, stdout: TextIO) -> None:
    """Sets up the process's logging; only the command line calls it, never the library or a worker.

    Args:
        mode: `text`: warnings and errors on stderr, the rest is the console's; `json`: everything on `stdout`.
    """
    handler = logging.StreamHandler(stdout if mode == "json" else sys.stderr)
    handler.setFormatter(JsonLines() if mode == "json" else logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("pipelines")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO if mode == "json" else logging.WARNING)
    logger.propagate = False


def event(name: str, message: str, **fields: object) -> None:
    """One line for machines; silent in text mode."""
    _EVENTS.info(message, extra={"event": name, "fields": fields})
