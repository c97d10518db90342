"""What traces and metrics share of OpenTelemetry: when its variables ask for them, and as whom a process sends them.

Variables, as OpenTelemetry's SDK reads them: OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and
OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, switch on; OTEL_SDK_DISABLED=true, OTEL_TRACES_EXPORTER=none and
OTEL_METRICS_EXPORTER=none off again. OTLP over HTTP only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

log = logging.getLogger("hermod.otel")

_SPOKEN = "http/protobuf"


def wanted(environ: Mapping[str, str], signal: Literal["TRACES", "METRICS"]) -> bool:
    """Whether this signal is to be sent; one that is wanted in a protocol that is not spoken here is warned of."""
    exporters = environ.get(f"OTEL_{signal}_EXPORTER") or "otlp"
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or "otlp" not in exporters.split(",")
    if off or not _either(environ, signal, "ENDPOINT"):
        return False
    protocol = _either(environ, signal, "PROTOCOL") or _SPOKEN
    if protocol != _SPOKEN:
        log.warning(
            "no %s: OTLP over %s is not spoken here; set OTEL_EXPORTER_OTLP_PROTOCOL=%s",
            signal.lower(),
            protocol,
            _SPOKEN,
        )
    return protocol == _SPOKEN


def resource(role: str) -> Resource:
    """Who sends: `hermod-<role>` unless OTEL_SERVICE_NAME says otherwise, with an id of this process's own."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - most do without

    named = Resource.create()
    if str(named.attributes["service.name"]).startswith("unknown_service"):
        named = named.merge(Resource({"service.name": f"hermod-{role}"}))
    return named


def _either(environ: Mapping[str, str], signal: str, what: str) -> str:
    return environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{what}") or environ.get(f"OTEL_EXPORTER_OTLP_{what}") or ""
