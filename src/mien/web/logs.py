"""Logging to standard error, without data of photos."""

import json
import logging
import traceback
from datetime import UTC, datetime
from types import TracebackType


def set_up_logging(form: str = "text", level: str = "info") -> None:
    """Send mien's log lines and Uvicorn's warnings to standard error.

    Args:
        form: ``text``, or ``json`` for one object per line.
        level: Lowest level of mien's lines; ``debug`` includes health checks and static files.
    """
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(DiscreetFormatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    own = logging.getLevelNamesMapping()[level.upper()]
    for name, least in (("mien.web", own), ("uvicorn", max(own, logging.WARNING))):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
        log.setLevel(least)


class DiscreetFormatter(logging.Formatter):
    """Formats an exception without its message, which might contain the name of a photo."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback and the type of the exception."""
        kind, _, trace = ei
        lines = "".join(traceback.format_tb(trace)).rstrip()
        return f"{lines}\n{kind.__name__}" if kind is not None else lines


class JsonFormatter(DiscreetFormatter):
    """One JSON object per line: time, level, message, and a request's fields by their names."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
