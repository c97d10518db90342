"""Logging for every process: one line per event on stderr, as text for people or JSON for machines.

Lines hold ids and facts, never prompts, answers or keys. The one place that every line passes sees to it all the same:
what looks like a key is masked, and of an exception its kind and traceback are shown but not its text, which may quote
a request.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, TypeAlias

import msgspec

from shared.redaction import redact
from shared.traces import trace_id

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_FIELDS = ("job_id", "trace_id")
"""What a line may carry beside its message: of the job at hand (`about`), or of another one, as an extra:
`logger.info("…", extra={"job_id": id})`. Other extras are left out."""
_OURS = ("hermod", "deploy")
_QUIET = ("httpx", "httpcore", "aiohttp", "botocore", "google", "msal", "urllib3", "opentelemetry")
"""Libraries that tell of every URL, header or body they send."""

_ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)  # as logging has it

_about: ContextVar[dict[str, str]] = ContextVar("about")


def configure(log_format: LogFormat, level: LogLevel = "info") -> None:
    """Sends all logging of this process to stderr in the given format, our own from `level` up.

    Libraries are heard from INFO up, the talkative ones from WARNING: what they say below holds what they send.
    """
    ours = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=max(ours, logging.INFO), handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(ours)
    for library in _QUIET:
        logging.getLogger(library).setLevel(max(ours, logging.WARNING))


def about(job_id: str, traceparent: str = "") -> None:
    """From here on the current task is about this job: its lines, and those of tasks it starts, say so."""
    fields = {"job_id": job_id}
    if traceparent:
        fields["trace_id"] = trace_id(traceparent)
    _about.set(fields)


def where(error: BaseException) -> str:
    """Kind and traceback of a defect without its text, which may quote a request or an answer."""
    return "".join([type(error).__name__, "\n", *traceback.format_tb(error.__traceback__)]).rstrip()


class _Formatter(logging.Formatter):
    """What both formats do to what they are given."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - the name logging calls
        """The exception as `where` tells it."""
        return where(ei[1]) if ei[1] else ""


class TextFormatter(_Formatter):
    """`2026-01-31T12:00:00Z INFO hermod.worker[4242] message job_id=…`, a traceback below it."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d] %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name logging calls
        """The line with its fields, before any traceback."""
        record.message = _message(record)
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        return super().formatMessage(record) + fields

    def format(self, record: logging.LogRecord) -> str:
        """The line, keys masked."""
        return redact(super().format(record))


class JsonFormatter(_Formatter):
    """One JSON object: time (Unix seconds), level, logger, process, message, the fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, keys masked."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": redact(_message(record)),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _message(record: logging.LogRecord) -> str:
    """What the line says; of asyncio's only the first line, for the others show the task and its exception's text."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name == "asyncio" else message


def _fields(record: logging.LogRecord) -> dict[str, str]:
    known = _about.get({})
    extra = {name: str(getattr(record, name)) for name in _FIELDS if hasattr(record, name)}
    if extra.get("job_id", known.get("job_id")) != known.get("job_id"):
        return extra
    return known | extra
