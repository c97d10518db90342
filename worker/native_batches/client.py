"""Calls a provider's batch API."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from shared.errors import Garbled, ProviderError, Rejected
from worker.exchange import UNREADABLE, Sign
from worker.native_batches.wires import Ask, BatchWire, Line, Seen
from worker.retry import refuses_key
from worker.routing import Target
from worker.transport import MIB, Call, Transport

log = logging.getLogger("hermod.worker")

SKEW_S = 300.0
"""How far a provider's clock may be from ours."""

T = TypeVar("T")


class Unclear(Exception):
    """A batch that runs may be the one that is looked for; once it has ended, its results will tell."""


class Client:
    """One provider's batch API, with one key. Every call raises ProviderError."""

    def __init__(
        self, transport: Transport, sign: Sign, target: Target, wire: BatchWire, headers: dict[str, str]
    ) -> None:
        self._transport = transport
        self._sign = sign
        self._target = target
        self._name = target.row.name
        self._wire = wire
        self._headers = headers

    async def submit(self, lines: list[bytes], path: str, mark: str) -> Seen:
        """Create a batch of `lines`."""
        file_id = ""
        if upload := self._wire.upload(lines, mark):
            file_id = self._read(partial(self._wire.uploaded, mark=mark), await self._send(upload))
        try:
            return self._read(self._wire.seen, await self._send(self._wire.create(lines, path, mark, file_id)))
        except ProviderError as error:
            if file_id and (isinstance(error, Rejected) or refuses_key(error)):
                await self._clear(self._wire.discard(file_id))
            raise

    async def clear(self, seen: Seen) -> None:
        """Delete what an ended batch leaves at the provider, as far as that can be done now."""
        for leftover in seen.leftovers:
            await self._clear(leftover)

    async def _clear(self, leftover: Ask) -> None:
        try:
            await self._send(leftover)
        except ProviderError as error:
            log.info("a file is left at a batch API: %s", type(error).__name__)

    async def look(self, batch_id: str) -> Seen:
        """The batch as it stands."""
        return self._read(self._wire.seen, await self._send(self._wire.look(batch_id)))

    async def cancel(self, batch_id: str) -> None:
        """Ask for its end."""
        await self._send(self._wire.cancel(batch_id))

    async def find(self, mark: str, since_s: float, total: int) -> str:
        """The id of the batch of `total` lines that was sent under `mark` since then; empty for none.

        Raises:
            Unclear: it cannot be told yet.
        """
        unclear, after = False, ""
        while True:
            page = self._wire.newest(after)
            batches, after = self._read(self._wire.listed, await self._send(page))
            for seen in batches:
                if seen.created_s < since_s - SKEW_S:
                    after = ""
                    break
                if seen.mark == mark:
                    return seen.id
                if seen.mark is None and seen.total == total:
                    if seen.ended and await self._is_of(seen, mark):
                        return seen.id
                    unclear = unclear or not seen.ended
            if not after or self._wire.newest(after) == page:  # a list that does not go on would never end
                break
        if unclear:
            raise Unclear
        return ""

    async def lines(self, seen: Seen) -> AsyncIterator[Line]:
        """What the requests of an ended batch came to, in any order; what cannot be read is left out."""
        for line in seen.lines:
            if found := self._line(line):
                yield found
        for result in seen.results:
            async for line in self._lines(result):
                if found := self._line(line):
                    yield found

    def _line(self, line: bytes) -> Line | None:
        try:
            return self._read(self._wire.read, line)
        except Garbled:
            log.warning("a line of a native batch's results cannot be read")
            return None

    async def _is_of(self, seen: Seen, mark: str) -> bool:
        async for line in self.lines(seen):
            return line.custom_id.startswith(f"{mark}-")
        return False

    async def _lines(self, result: Ask) -> AsyncIterator[bytes]:
        """The lines of a document of any size, one in memory, which is an answer and may be as long as one."""
        rest, longest = b"", self._target.provider.network.max_response_mb * MIB
        async with self._transport.stream(await self._call(result)) as answer:
            if answer.status >= 300:  # noqa: PLR2004 - a redirect is never followed: the key is bound to its host
                raise self._error(answer.status, dict(answer.headers), await answer.read())
            async for chunk in answer.chunks():
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > longest:
                    raise Garbled("A line of the results is too long: see max_response_mb.", provider=self._name)
                for line in whole:
                    if line.strip():
                        yield line
        if rest.strip():
            yield rest

    async def _send(self, ask: Ask) -> bytes:
        answer = await self._transport.send(await self._call(ask))
        if answer.status >= 300:  # noqa: PLR2004 - as above
            raise self._error(answer.status, dict(answer.headers), answer.body)
        return answer.body

    def _error(self, status: int, headers: dict[str, str], body: bytes) -> Exception:
        return self._target.adapter.error(self._target.row, status, headers, body)

    async def _call(self, ask: Ask) -> Call:
        target, network = self._target, self._target.provider.network
        call = Call(
            method=ask.method,
            url=ask.at + ask.path if ask.at else target.url(ask.path),
            # What stands elsewhere is signed; the operator's own headers are for the target's address.
            headers={
                **({} if ask.at else target.headers(target.adapter, self._headers)),
                "content-type": ask.content_type,
            },
            body=ask.body,
            provider=self._name,
            timeout_s=network.default_request_timeout_in_seconds,
            idle_s=network.stream_idle_timeout_in_seconds,
        )
        return await self._sign(call, target)

    def _read(self, decode: Callable[[bytes], T], body: bytes) -> T:
        try:
            return decode(body)
        except UNREADABLE as cause:
            raise Garbled("The provider's batch API cannot be read.", provider=self._name) from cause
