"""The client: keep-alive connections that are asked at a steady rate, or again as soon as they have answered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httptools
import msgspec

from tests.bench.server import percentile

WARM_S = 0.5
"""Not counted in rates: connections are opened, buffers grow."""
DRAIN_S = 30.0
"""What is still unanswered that long after the last request was sent has failed."""


class Served(msgspec.Struct, frozen=True):
    """What was answered.

    Attributes:
        requests_s: answers with status 200, in the measured time.
        events_s: events of streams, in the measured time.
        answered: the same answers from the first to the last, warm-up included: what the CPU was spent on.
        events: events from the first to the last.
        failed: other statuses, lost connections, no answer in time.
    """

    requests_s: float
    events_s: float
    p50_ms: float
    p99_ms: float
    answered: int
    events: int
    failed: int


class Connection(asyncio.Protocol):
    """One connection to this machine; counts the events of a stream as they come."""

    def __init__(self) -> None:
        self.events = 0
        self._tail = b""
        self._answer: asyncio.Future[int] | None = None

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect. Raises OSError."""
        return (await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port))[1]

    async def ask(self, request: bytes) -> int:
        """Send `request` and wait for the whole answer; its status. Raises ConnectionError when it is lost."""
        if self._transport.is_closing():
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(str(error)))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self.events += (self._tail + piece).count(b"\n\n")
        self._tail = b"" if piece.endswith(b"\n\n") else piece[-1:]

    def on_message_complete(self) -> None:
        self._tail = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())


class Asker:
    """Asks one thing on one connection, which it opens anew when it was lost."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._connection: Connection | None = None
        self._events_before = 0
        self.taken_ms: list[float] = []
        self.failed = 0

    @property
    def events(self) -> int:
        return self._events_before + (self._connection.events if self._connection else 0)

    async def ask(self) -> None:
        """One request, timed when it was answered with 200."""
        connection = self._connection = self._connection or await Connection.open(self._port)
        asked = time.perf_counter()
        try:
            status = await connection.ask(self._request)
        except ConnectionError:
            self.failed += 1
            self.close()
            return
        if status == 200:
            self.taken_ms.append((time.perf_counter() - asked) * 1000)
        else:
            self.failed += 1

    def close(self) -> None:
        if self._connection:
            self._events_before, connection = self.events, self._connection
            self._connection = None
            connection.close()


async def paced(port: int, request: bytes, rate: float, seconds: float) -> Served:
    """One connection, `rate` requests a second; one that is answered late delays the next."""
    asker, loop = Asker(port, request), asyncio.get_running_loop()
    await asker.ask()
    asker.taken_ms.clear()
    began = loop.time()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(began + number / rate - loop.time())
        await asker.ask()
    taken_s = loop.time() - began
    asker.close()
    return _served([asker], [asker.taken_ms], asker.events / taken_s, taken_s, 0)


async def saturated(ports: tuple[int, ...], request: bytes, connections: int, seconds: float) -> Served:
    """As many requests as are answered on that many connections, dealt out to `ports` in turn."""
    askers = [Asker(ports[number % len(ports)], request) for number in range(connections)]
    loop = asyncio.get_running_loop()
    until = loop.time() + WARM_S + seconds
    tasks = [asyncio.create_task(_keep_asking(asker, until)) for asker in askers]
    await asyncio.sleep(WARM_S)
    began, before, events = loop.time(), [len(asker.taken_ms) for asker in askers], _events(askers)
    await asyncio.sleep(until - loop.time())
    taken_s = loop.time() - began
    measured = [asker.taken_ms[count:] for asker, count in zip(askers, before, strict=True)]
    events_s = (_events(askers) - events) / taken_s
    done, late = await asyncio.wait(tasks, timeout=DRAIN_S)
    for task in late:
        task.cancel()
    for task in done:
        task.result()
    for asker in askers:
        asker.close()
    return _served(askers, measured, events_s, taken_s, len(late))


async def _keep_asking(asker: Asker, until: float) -> None:
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        await asker.ask()


def _events(askers: list[Asker]) -> int:
    return sum(asker.events for asker in askers)


def _served(
    askers: list[Asker], measured: list[list[float]], events_s: float, taken_s: float, unanswered: int
) -> Served:
    taken_ms = [ms for one in measured for ms in one]
    return Served(
        requests_s=len(taken_ms) / taken_s,
        events_s=events_s,
        p50_ms=percentile(taken_ms, 0.5),
        p99_ms=percentile(taken_ms, 0.99),
        answered=sum(len(asker.taken_ms) for asker in askers),
        events=_events(askers),
        failed=unanswered + sum(asker.failed for asker in askers),
    )
