"""The log: on standard error, with nothing of a photo in it."""

import json
import logging
import traceback
from datetime import UTC, datetime
from types import TracebackType


def set_up_logging(form: str = "text", level: str = "info") -> None:
    """Write mien's lines, and Uvicorn's warnings, to standard error.

    Args:
        form: ``text``, or ``json`` for one object per line.
        level: Of mien's own lines; at ``debug`` health checks and static files have one as well.
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
    """Formats an exception as its type and the lines of code: its message might hold a photo's name."""

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback, with no word of what the code worked on."""
        kind, _, trace = ei
        lines = "".join(traceback.format_tb(trace)).rstrip()
        return f"{lines}\n{kind.__name__}" if kind is not None else lines


class JsonFormatter(DiscreetFormatter):
    """One JSON object per line: time, level, message, and a request's fields by their names."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
