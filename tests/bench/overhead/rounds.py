"""Every gateway under every load, in turn, round after round."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from statistics import median

import msgspec
import uvloop

from tests.bench.overhead.client import Served, paced, saturated
from tests.bench.overhead.gateways import ONE_BY_ONE, PLAIN, STREAM, Gateway
from tests.bench.overhead.processes import until_idle

RATE = 20.0
STREAMS = 16
BARE = "direct"
WARM_UP_S = 1.0
IDLE_WITHIN_S = 15.0


class Load(msgspec.Struct, frozen=True):
    """One kind of load; no connections means one at RATE."""

    name: str
    model: str
    connections: int = 0


LATENCY = Load("latency", PLAIN)
PLAIN_16 = Load("plain, 16 connections", PLAIN, 16)
PLAIN_64 = Load("plain, 64 connections", PLAIN, 64)
STREAMED = Load("stream", STREAM, STREAMS)
ALONE = Load("one by one", ONE_BY_ONE, STREAMS)
LOADS = (LATENCY, PLAIN_16, PLAIN_64, STREAMED, ALONE)


class Round(msgspec.Struct, frozen=True):
    """One load on one gateway.

    Attributes:
        cpu_s: seconds by role.
        idle: the gateway came to rest afterwards; else the next one was measured beside it.
    """

    served: Served
    cpu_s: dict[str, float]
    idle: bool

    @property
    def requests_per_cpu_s(self) -> float:
        return self.served.answered / self.all_cpu_s

    @property
    def events_per_cpu_s(self) -> float:
        return self.served.events / self.all_cpu_s

    @property
    def events_per_stream(self) -> float:
        return self.served.events / self.served.answered

    @property
    def all_cpu_s(self) -> float:
        return sum(self.cpu_s.values()) or float("nan")

    def told(self) -> str:
        """The round on one line."""
        served = self.served
        rates = f"{served.requests_s:7,.0f} requests/s {served.events_s:7,.0f} events/s"
        times = f"p50 {served.p50_ms:8.2f} ms  p99 {served.p99_ms:8.2f} ms  CPU {self.all_cpu_s:5.2f} s"
        return f"{rates}  {times}  {served.failed} failed"


class Bench:
    """One run on gateways that answer, the bare simulator among them."""

    def __init__(self, running: list[Gateway], *, quick: bool) -> None:
        self.running = running
        self.rounds, self.seconds, self.latency_s = (1, 1.5, 3.0) if quick else (5, 5.0, 10.0)
        self.found: dict[tuple[Load, str], list[Round]] = defaultdict(list)
        self._processes: dict[str, set[int]] = {}

    def run(self) -> None:
        """All rounds, each told as it ends: a run takes minutes."""
        for gateway in self.running:
            for load in (PLAIN_16, STREAMED):
                self._measure(gateway, load, WARM_UP_S)
            self._processes[gateway.name] = gateway.tree()
        for number in range(1, self.rounds + 1):
            for load in LOADS:
                for gateway in self.running:
                    found = self._measure(gateway, load, self.seconds if load.connections else self.latency_s)
                    self.found[load, gateway.name].append(found)
                    print(f"{number}/{self.rounds} {load.name:22}{gateway.name:8}{found.told()}", flush=True)

    def _measure(self, gateway: Gateway, load: Load, seconds: float) -> Round:
        request, before = gateway.request(load.model), gateway.cpu_s()
        if load.connections:
            served = uvloop.run(saturated(gateway.ports, request, load.connections, seconds))
        else:
            served = uvloop.run(paced(gateway.ports[0], request, RATE, seconds))
        idle = until_idle(gateway.pids(), IDLE_WITHIN_S)
        return Round(served, {role: now - before[role] for role, now in gateway.cpu_s().items()}, idle)

    def each(self, load: Load, figure: str) -> dict[str, float]:
        """The median of one figure for each gateway that answers such a load; `figure` as in `served.p50_ms`."""
        found = {one.name: self._figures(load, one.name, figure) for one in self.running}
        return {name: median(figures.values()) for name, figures in found.items() if figures}

    def added(self, load: Load, figure: str) -> dict[str, float]:
        """The median of what each gateway adds to the figure of the bare simulator in the same round."""
        bare = self._figures(load, BARE, figure)
        behind = {one.name: self._figures(load, one.name, figure) for one in self.running if one.name != BARE}
        added = {
            name: [value - bare[number] for number, value in figures.items() if number in bare]
            for name, figures in behind.items()
        }
        return {name: median(values) for name, values in added.items() if values}

    def cpu_us_by_role(self, load: Load, name: str) -> dict[str, float]:
        """Microseconds of CPU for one request, by role of the gateway's processes."""
        rounds = [one for one in self.found[load, name] if one.served.answered]
        roles = rounds[0].cpu_s if rounds else ()
        return {role: median(1e6 * one.cpu_s[role] / one.served.answered for one in rounds) for role in roles}

    def doubts(self) -> list[str]:
        """What happened that makes figures of this run worth less, one sentence each."""
        told = []
        for (load, name), rounds in self.found.items():
            if failed := sum(one.served.failed for one in rounds):
                told.append(f"{name}, {load.name}: {failed} requests failed")
            if not all(one.idle for one in rounds):
                told.append(f"{name}, {load.name}: still busy {IDLE_WITHIN_S:g} s later, beside the next gateway")
        told += [
            f"{one.name}: processes ended or were started again during the run"
            for one in self.running
            if not self._processes[one.name] <= one.tree()
        ]
        events = self.each(STREAMED, "events_per_stream")
        return told + [
            f"{name}: {count:,.0f} events in a stream of {events[BARE]:,.0f}"
            for name, count in events.items()
            if abs(count - events[BARE]) > 1
        ]

    def _figures(self, load: Load, name: str, figure: str) -> dict[int, float]:
        """By number of the round; one in which nothing was answered has none, and is among the doubts."""
        rounds = enumerate(self.found[load, name])
        return {number: attrgetter(figure)(one) for number, one in rounds if one.served.answered}
