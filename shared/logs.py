"""Logging for every process: one line per event on stderr, as text for people or JSON for machines.

Lines hold ids and facts, never prompts, answers or keys; what looks like a key is masked here all the same, at the
one place that every line passes.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from typing import Any, Literal

import msgspec

from shared.redaction import redact

LogFormat = Literal["text", "json"]

_FIELDS = ("job_id",)
"""Extras that a line may carry: `logger.info("…", extra={"job_id": id})`. Others are left out."""


def configure(log_format: LogFormat) -> None:
    """Sends all logging of this process, from INFO up, to stderr in the given format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in ("httpx", "httpcore"):  # at INFO they print every URL they call
        logging.getLogger(library).setLevel(logging.WARNING)


def where(error: BaseException) -> str:
    """Kind and traceback of a defect without its text, which may quote a request or an answer."""
    return "".join([type(error).__name__, "\n", *traceback.format_tb(error.__traceback__)]).rstrip()


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00Z INFO worker.leases[4242] message job_id=…`, a traceback below it."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name logging calls
        """The line with its fields, before any traceback."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        return super().formatMessage(record) + fields

    def format(self, record: logging.LogRecord) -> str:
        """The line, keys masked."""
        return redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object: time (Unix seconds), level, logger, process, message, the fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, keys masked."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": redact(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: str(getattr(record, name)) for name in _FIELDS if hasattr(record, name)}
