"""Traces by OpenTelemetry: off, and nothing of it imported, unless the usual variables name a collector.

One trace leads from a client's request over the queue to the provider's answer: the API's span is the child of the
client's `traceparent`, the job carries the API's, each worker that runs it makes a span of it, each attempt one more.
Spans hold what the semantic conventions for HTTP and GenAI name, never a prompt, an answer, an error's text or a key.

The variables stand in `shared/otel.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from enum import Enum
from types import TracebackType
from typing import Any, Protocol, Self

from shared import otel

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2.2; of later versions the part that is this one's."""
_LONGEST = 200
"""Characters of a text from outside, such as a model's name."""

Value = str | int | float | bool


class Kind(Enum):
    """What a span stands for; the names are OpenTelemetry's."""

    SERVER = "SERVER"
    CONSUMER = "CONSUMER"
    CLIENT = "CLIENT"


class Span(Protocol):
    """A part of a trace, while it lasts."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes; texts are cut."""
        ...

    def name(self, name: str) -> None:
        """Give it another name."""
        ...

    def fail(self, error_type: str) -> None:
        """It failed, of this kind."""
        ...


class _NoSpan(AbstractContextManager["_NoSpan"]):
    """What there is while traces are off."""

    def __exit__(self, *_: object) -> None:
        return

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Nothing."""

    def name(self, name: str) -> None:
        """Nothing."""

    def fail(self, error_type: str) -> None:
        """Nothing."""


class _Recorded(AbstractContextManager["_Recorded"]):
    """A span of OpenTelemetry's, current within `with`."""

    def __init__(self, span: Any, api: Any) -> None:
        self._span = span
        self._api = api
        self._current = ExitStack()

    def __enter__(self) -> Self:
        # Not its own handling of exceptions: it would record their text.
        use = self._api.use_span(self._span, end_on_exit=True, record_exception=False, set_status_on_exception=False)
        self._current.enter_context(use)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, Exception):
            self.fail(kind.__name__)
        self._current.__exit__(kind, error, traceback)

    def note(self, attributes: Mapping[str, Value]) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(name, value[:_LONGEST] if isinstance(value, str) else value)

    def name(self, name: str) -> None:
        self._span.update_name(name[:_LONGEST])

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(self._api.StatusCode.ERROR)


class _Tracing:
    """OpenTelemetry's SDK, switched on."""

    def __init__(self, role: str, *, to_providers: bool) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - 30 MB and 0.5 s that most do without
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = TracerProvider(resource=otel.resource(role), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("hermod")
        self._api = trace
        self._propagator = TraceContextTextMapPropagator()
        self.to_providers = to_providers

    def span(self, name: str, kind: Kind, parent: str) -> _Recorded:
        context = self._propagator.extract({"traceparent": parent}) if parent else None
        span = self._tracer.start_span(name[:_LONGEST], context, kind=self._api.SpanKind[kind.value])
        return _Recorded(span, self._api)

    def current(self) -> str:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent", "")

    def close(self) -> None:
        self._provider.shutdown()


_NO_SPAN = _NoSpan()
_tracing: _Tracing | None = None


def start(role: str, environ: Mapping[str, str], *, to_providers: bool = False) -> None:
    """Switch traces on for this process if the environment says so; `role` is `api` or `worker`.

    With `to_providers`, calls of providers carry `traceparent`.
    """
    global _tracing  # noqa: PLW0603 - one per process, as logging is
    if otel.wanted(environ, "TRACES"):
        _tracing = _Tracing(role, to_providers=to_providers)


def stop() -> None:
    """Send what is left, and switch traces off."""
    global _tracing  # noqa: PLW0603 - as above
    if _tracing is not None:
        _tracing.close()
        _tracing = None


def active() -> bool:
    """Whether traces are on: for who would build what no span takes."""
    return _tracing is not None


def span(name: str, kind: Kind, parent: str = "") -> _Recorded | _NoSpan:
    """A span, current within `with`: the child of `parent`, a traceparent, else of the current one."""
    return _NO_SPAN if _tracing is None else _tracing.span(name, kind, parent)


def current() -> str:
    """The current span as a traceparent; empty when there is none."""
    return "" if _tracing is None else _tracing.current()


def outbound() -> dict[str, str]:
    """The headers by which a provider can go on with the trace; none unless that was asked for."""
    if _tracing is None or not _tracing.to_providers:
        return {}
    return {"traceparent": _tracing.current()}


def valid(traceparent: str) -> str:
    """A client's traceparent, or nothing when it is none."""
    found = _TRACEPARENT.match(traceparent.strip().lower()) if traceparent else None
    return found[0] if found else ""


def trace_id(traceparent: str) -> str:
    """The trace's id; empty when there is none."""
    return traceparent[3:35]
