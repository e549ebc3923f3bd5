"""How log lines look: for a person, or one JSON object per line (LOG_FORMAT=json)."""

import json
import logging
import sys
from datetime import UTC, datetime

from rag_assets import visible

HANDLER_NAME = "rag_assets"  # of our handler
PRETTY = "%(asctime)s %(levelname)-7s %(name)s %(message)s"


class LineFormatter(logging.Formatter):
    """For a person; whatever a message holds, only records begin a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line; further lines of it, such as of a traceback, are indented."""
        return visible.lines(super().format(record)).replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """One line, one object: time (UTC, ISO 8601), level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object in JSON on one line, its time in ISO 8601 and UTC."""
        entry = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return visible.json_line(json.dumps(entry, ensure_ascii=False))


def configure(log_format: str, *, level: int = logging.WARNING) -> None:
    """Send log lines, this project's and those of the libraries it uses, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else LineFormatter(PRETTY))
    handler.set_name(HANDLER_NAME)
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if other.name != HANDLER_NAME), handler]
    logging.getLogger("rag_assets").setLevel(level)
