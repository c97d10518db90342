"""Metrics by OpenTelemetry, to a collector that is sent them: off, and nothing of it imported, unless asked for.

It is told what `/metrics` tells, under the same names and with the same labels, summed since the process began
(cumulative, whatever OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE says), every OTEL_METRIC_EXPORT_INTERVAL
milliseconds and once more at the end. The other variables stand in `shared/otel.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from prometheus_client import Metric

from shared import otel
from shared.metrics import REGISTRY
from shared.queue_gauges import Scrape

INTERVAL_MS = 60_000
"""What OpenTelemetry's SDK takes when nothing is said."""
_LAST_S = 5.0
"""For the last figures of a process that ends: a collector that is away must not hold it up."""


class Export:
    """Sends this process's metrics while it is open; `role` is `api` or `worker`."""

    def __init__(self, scrape: Scrape, role: str, environ: Mapping[str, str]) -> None:
        self._scrape = scrape
        self._role = role
        self._wanted = otel.wanted(environ, "METRICS")
        interval = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
        self._every_s = (int(interval) if interval.isdecimal() and int(interval) else INTERVAL_MS) / 1000
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin, if that is wanted."""
        if self._wanted:
            self._otlp = _Otlp(self._role)
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Send what there is, and end."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._send()
        self._otlp.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._send()

    async def _send(self) -> None:
        """Read here, for the figures are the event loop's; sent from a thread, for the exporter blocks."""
        await self._scrape.refresh()
        found = self._otlp.read(REGISTRY.collect())
        await asyncio.to_thread(self._otlp.send, found)


class _Otlp:
    """Prometheus' families in OpenTelemetry's words, and the SDK's own exporter; it logs what it cannot send."""

    def __init__(self, role: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - heavy
        from opentelemetry.sdk.metrics import export  # noqa: PLC0415
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

        self._sdk = export
        self._cumulative = export.AggregationTemporality.CUMULATIVE
        self._resource = otel.resource(role)
        self._scope = InstrumentationScope("hermod")
        self._exporter = OTLPMetricExporter()
        self._began_ns = time.time_ns()

    def read(self, families: Iterable[Metric]) -> Any:
        """What there is to send, as of now: an `export.MetricsData`."""
        now_ns = time.time_ns()
        metrics = [
            self._sdk.Metric(_name(family), family.documentation, "", self._data(family, now_ns))
            for family in families
            if family.samples
        ]
        scoped = self._sdk.ScopeMetrics(self._scope, metrics, "")
        return self._sdk.MetricsData([self._sdk.ResourceMetrics(self._resource, [scoped], "")])

    def send(self, found: Any) -> None:
        """Blocks until the collector has it, or the exporter's time is over."""
        self._exporter.export(found)

    def close(self) -> None:
        self._exporter.shutdown()

    def _data(self, family: Metric, now_ns: int) -> Any:
        if family.type == "histogram":
            return self._sdk.Histogram(self._spreads(family, now_ns), self._cumulative)
        points = [
            self._sdk.NumberDataPoint(dict(sample.labels), self._began_ns, now_ns, float(sample.value))
            for sample in family.samples
        ]
        if family.type == "counter":
            return self._sdk.Sum(points, self._cumulative, is_monotonic=True)
        return self._sdk.Gauge(points)

    def _spreads(self, family: Metric, now_ns: int) -> list[Any]:
        """A point for each series: its buckets, which Prometheus adds up and OpenTelemetry does not, and its sum."""
        upto: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
        sums: dict[tuple[tuple[str, str], ...], float] = {}
        for sample in family.samples:
            labels = tuple((name, value) for name, value in sample.labels.items() if name != "le")
            if "le" in sample.labels:
                upto.setdefault(labels, {})[float(sample.labels["le"])] = sample.value
            elif sample.name.endswith("_sum"):
                sums[labels] = sample.value
        return [self._spread(dict(labels), found, sums[labels], now_ns) for labels, found in upto.items()]

    def _spread(self, labels: dict[str, str], upto: dict[float, float], total: float, now_ns: int) -> Any:
        *bounds, _ = sorted(upto)
        so_far = [0, *(int(upto[bound]) for bound in sorted(upto))]
        counts = [after - before for before, after in pairwise(so_far)]
        # Neither knows the least and the greatest: the SDK's own points have them, OTLP does not ask for them.
        unknown: Any = None
        return self._sdk.HistogramDataPoint(
            labels, self._began_ns, now_ns, so_far[-1], total, counts, bounds, unknown, unknown
        )


def _name(family: Metric) -> str:
    """As `/metrics` has it: prometheus-client takes the `_total` off a counter's."""
    return f"{family.name}_total" if family.type == "counter" else family.name
