"""Counters, gauges and histograms that cost a call next to nothing: prometheus-client reads them when it is asked.

Its own take a lock and several Python calls for each event, 0.5 to 2.2 us, and a request has some twenty events; these
take 0.1 to 0.3. They are for one thread, the event loop's.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class Tally:
    """One series of a counter or a gauge; a counter's only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Spread:
    """One series of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more of this size."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


_Series = TypeVar("_Series", Tally, Spread)


class _Family(Collector, Generic[_Series]):
    """All series of one metric.

    Attributes:
        name: as Prometheus shows it.
        labels: their names.
    """

    def __init__(
        self, registry: CollectorRegistry, name: str, meaning: str, labels: Iterable[str] = (), *values: Iterable[str]
    ) -> None:
        """Register the metric; with the `values` of all its labels, each combination of them is there from now on."""
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        self._series: dict[tuple[str, ...], _Series] = {}
        registry.register(self)
        if len(values) == len(self.labels):
            for combination in product(*values):
                self.of(*combination)

    def of(self, *labels: str) -> _Series:
        """The series with these labels' values."""
        return self._series.get(labels) or self._new(labels)

    def clear(self) -> None:
        """Forget all series."""
        self._series.clear()

    def describe(self) -> list[Metric]:
        """What registering asks for."""
        return [self._empty()]

    def collect(self) -> Iterator[Metric]:
        """What a scrape asks for."""
        family = self._empty()
        for labels, series in self._series.items():
            self._show(family, labels, series)
        yield family

    def _new(self, labels: tuple[str, ...]) -> _Series:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}")
        series = self._series[labels] = self._make()
        return series

    @abstractmethod
    def _make(self) -> _Series:
        """A series that has counted nothing."""

    @abstractmethod
    def _empty(self) -> Metric:
        """The metric without a series."""

    @abstractmethod
    def _show(self, family: Metric, labels: tuple[str, ...], series: _Series) -> None:
        """Put a series into the metric."""


class Counters(_Family[Tally]):
    """What only grows; `name` ends in `_total`."""

    def inc(self, amount: float = 1) -> None:
        """So many more, of a counter without labels."""
        self.of().value += amount

    def _make(self) -> Tally:
        return Tally()

    def _empty(self) -> Metric:
        return CounterMetricFamily(self.name, self.meaning, labels=self.labels)

    def _show(self, family: Metric, labels: tuple[str, ...], series: Tally) -> None:
        family.add_sample(self.name, dict(zip(self.labels, labels, strict=True)), series.value)


class Gauges(_Family[Tally]):
    """What goes up and down."""

    def _make(self) -> Tally:
        return Tally()

    def _empty(self) -> Metric:
        return GaugeMetricFamily(self.name, self.meaning, labels=self.labels)

    def _show(self, family: Metric, labels: tuple[str, ...], series: Tally) -> None:
        family.add_sample(self.name, dict(zip(self.labels, labels, strict=True)), series.value)


class Histograms(_Family[Spread]):
    """How large things were: how many were at most as large as each of the `bounds`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        meaning: str,
        labels: Iterable[str] = (),
        *,
        bounds: tuple[float, ...],
    ) -> None:
        self._bounds = bounds
        super().__init__(registry, name, meaning, labels)

    def _make(self) -> Spread:
        return Spread(self._bounds)

    def _empty(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.meaning, labels=self.labels)

    def _show(self, family: Metric, labels: tuple[str, ...], series: Spread) -> None:
        assert isinstance(family, HistogramMetricFamily)  # noqa: S101 - made above
        buckets, so_far = [], 0
        for bound, count in zip((*self._bounds, float("inf")), series.counts, strict=True):
            so_far += count
            buckets.append((str(float(bound)).replace("inf", "+Inf"), float(so_far)))
        family.add_metric(labels, buckets, series.total)
