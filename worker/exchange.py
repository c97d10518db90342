"""One exchange with a provider: the request rendered, signed and sent, its answer parsed or relayed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeAlias

import msgspec

from shared.chat import ChatRequest, Usage
from shared.dialects import DIALECTS
from shared.dialects.base import Dialect
from shared.errors import Garbled, ProviderError, StoreError, Unsupported
from shared.ids import now_ms
from shared.jobs import Attempt, Job, Outcome
from shared.sse import Frame
from shared.traces import outbound
from worker.attachments import Attachments
from worker.lease import Lease
from worker.providers.base import PassThrough, Row
from worker.providers.surrogates import whole
from worker.relay import Pieces, Relay, SameWire, Told, Translated
from worker.room import kept
from worker.routing import Target
from worker.transport import Call, Transport

GET_TIMEOUT_S = 10.0
FILES_AWAY_S = 2.0
"""When a request is due again whose files could not be fetched."""
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding a provider's answer may raise, however it is broken."""
_OBJECT = re.compile(rb'\s*\{\s*"')
TRANSLATED = frozenset({"chat", "count_tokens"})
"""Operations that a provider of another wire can do; what it cannot its adapter's `path` says."""


class TryLater(Exception):
    """What was asked is to be tried, or tried again, after `delay_s` seconds.

    `why` says what for: a reason, and after a space the target, as `rate_limited openai/gpt-4o`; empty when nobody
    need know.
    """

    def __init__(self, delay_s: float, why: str = "") -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s
        self.why = why


class StreamBroke(Exception):
    """The answer broke off after the client had seen its beginning. `usage`: what the provider had told by then."""

    def __init__(self, error: ProviderError, usage: Usage | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.usage = usage


class Asked(Protocol):
    """What is to be answered: a leased job, or an item of a batch, which is never streamed.

    Attributes:
        record: id of the job record it belongs to: its own, or its shard's.
    """

    job: Job
    body: bytes
    attempts: tuple[Attempt, ...]
    record: str

    @property
    def payer(self) -> str:
        """The owner whose budgets and windows it counts in: its job's, but of what the gateway asks for itself."""
        ...


class Media(Protocol):
    """Fetches what a provider cannot fetch itself."""

    async def embedded(self, request: ChatRequest, row: Row) -> ChatRequest:
        """The request with the bytes behind its URLs put in. Raises InvalidRequest, naming the field."""
        ...

    async def inlined(self, body: bytes, dialect: str, row: Row) -> bytes:
        """A request's body likewise. Raises InvalidRequest, naming the field."""
        ...


Sign: TypeAlias = Callable[[Call, Target], Awaitable[Call]]
"""Adds what a key's signature or token needs time for; most keys are a header that the adapter has set already."""


class Heard:
    """What was heard of an answer besides the outcome.

    Attributes:
        served: headers that tell who serves it, for a stream's client: its answer begins before there is an outcome.
        headers: names in lower case; empty when there was no answer.
        first_at: of a stream, when the client's first event was there, in seconds of `time.perf_counter`.
    """

    headers: Mapping[str, str] = {}
    first_at: float | None = None

    def __init__(self, served: Mapping[str, str] = MappingProxyType({})) -> None:
        self.served = served


class Exchange:
    """Speaks to targets.

    Without `attachments`, ids of files stay what they are; without `media`, URLs do; without `sign`, calls carry only
    the headers of their adapter.
    """

    def __init__(
        self, transport: Transport, attachments: Attachments | None, media: Media | None, sign: Sign | None
    ) -> None:
        self._transport = transport
        self._attachments = attachments
        self._media = media
        self._sign = sign

    async def run(self, asked: Asked, target: Target, heard: Heard) -> Outcome:
        """Ask the target; what its answer's headers were is put into `heard`.

        Raises:
            GatewayError: no answer, or one that is an error.
            StreamBroke: the same, after the client had seen something.
            TryLater: a store is away that holds the request's files.
        """
        with kept():  # what files and URLs bring is in the call until its end
            return await self._run(asked, target, heard)

    async def _run(self, asked: Asked, target: Target, heard: Heard) -> Outcome:
        job, dialect = asked.job, DIALECTS[asked.job.dialect]
        if wire := target.speaking(dialect.wire, job.operation):
            body = await self._with_files(asked)
            if self._media is not None and not target.row.fetches and job.operation in TRANSLATED:
                body = await self._media.inlined(body, job.dialect, target.row)
            body = wire.edit(body, target.row, target.upstream_model, job.operation)
            call = await self._signed(self._call(job, target, wire, body), target)
            if job.stream and isinstance(asked, Lease):
                relay = SameWire(wire.tap(target.row, job, asked.body), target.row.name)
                return await self._stream(asked, target, wire, call, relay, heard)
            return await self._plain_same_wire(asked, target, wire, call, heard)
        if job.operation not in TRANSLATED:
            raise Unsupported(
                f"model: provider {target.row.name!r} has no {job.operation} on this surface.", param="model"
            )
        return await self._translated(asked, dialect, target, heard)

    async def _with_files(self, asked: Asked) -> bytes:
        if self._attachments is None:
            return asked.body
        try:
            return await self._attachments.inlined(asked.job, asked.body)
        except StoreError as error:
            raise TryLater(FILES_AWAY_S) from error

    async def _plain_same_wire(
        self, asked: Asked, target: Target, wire: PassThrough, call: Call, heard: Heard
    ) -> Outcome:
        body = await self._send(target, wire, call, heard)
        if error := wire.failed(body, target.row):
            raise error
        try:
            usage = wire.usage(body)
            body = wire.relabel(body, asked.job, asked.body)
        except UNREADABLE as cause:
            raise Garbled("The provider's answer is not JSON.", provider=target.row.name) from cause
        if not _OBJECT.match(body):
            raise Garbled("The provider's answer is empty.", provider=target.row.name)
        return Outcome(status=200, body=body, usage=usage if usage.known else None)

    async def _translated(self, asked: Asked, dialect: Dialect, target: Target, heard: Heard) -> Outcome:
        job, adapter = asked.job, target.adapter
        request = dialect.parse(await self._with_files(asked), target.upstream_model, job.headers)
        if self._media is not None:
            request = await self._media.embedded(request, target.row)
        rendered = adapter.render(request, target.row, job.operation)
        call = await self._signed(self._call(job, target, adapter, rendered.body), target)
        headers = {"x-bf-dropped": ", ".join(rendered.dropped)} if rendered.dropped else {}
        if job.stream and isinstance(asked, Lease):
            renderer = dialect.stream(request, job, asked.body)
            relay = Translated(adapter.stream(target.row), renderer, target.row.name, _told(job, target))
            outcome = await self._stream(asked, target, adapter, call, relay, heard)
            outcome.headers.update(headers)
            return outcome
        body = await self._send(target, adapter, call, heard)
        try:
            if job.operation == "count_tokens":
                return Outcome(status=200, body=dialect.render_count(adapter.count(body)), headers=headers)
            answer = adapter.parse(body, target.row)
        except UNREADABLE as cause:
            raise Garbled("The provider's answer cannot be read.", provider=target.row.name) from cause
        answer = _told(job, target).complete(answer)
        usage = answer.usage if answer.usage.known else None
        return Outcome(status=200, body=dialect.render(answer, job, asked.body), usage=usage, headers=headers)

    async def _send(self, target: Target, wire: PassThrough, call: Call, heard: Heard) -> bytes:
        answer = await self._transport.send(call)
        heard.headers = answer.headers
        if answer.status >= 300:  # noqa: PLR2004 - a redirect is never followed: the key is bound to its host
            raise _refused(target, wire, answer.status, answer.headers, answer.body)
        return whole(answer.body)

    async def _stream(
        self, lease: Lease, target: Target, wire: PassThrough, call: Call, relay: Relay, heard: Heard
    ) -> Outcome:
        pieces = Pieces(lease, heard.served)
        try:
            async with self._transport.stream(call) as answer:
                heard.headers = answer.headers
                if answer.status >= 300:  # noqa: PLR2004 - as above
                    raise _refused(target, wire, answer.status, answer.headers, await answer.read())
                await _pump(answer.chunks(), wire, target.row, relay, pieces)
        except ProviderError as error:
            if not pieces.written:
                pieces.abandon()
                raise
            await pieces.close()
            raise StreamBroke(error, relay.usage) from error
        except BaseException:
            pieces.abandon()
            raise
        await pieces.close()
        heard.first_at = pieces.first_at
        return Outcome(status=200, body=relay.final, usage=relay.usage)

    @staticmethod
    def _call(job: Job, target: Target, wire: PassThrough, body: bytes) -> Call:
        network = target.provider.network
        return Call(
            method="POST",
            url=target.address(wire, job.operation, stream=job.stream),
            headers={**target.headers(wire, job.headers), **outbound()},
            body=body,
            provider=target.row.name,
            timeout_s=network.default_request_timeout_in_seconds,
            idle_s=network.stream_idle_timeout_in_seconds,
        )

    async def _signed(self, call: Call, target: Target) -> Call:
        return call if self._sign is None else await self._sign(call, target)

    async def get(self, target: Target, path: str) -> bytes:
        """What the provider answers about itself. Raises GatewayError."""
        call = Call(
            method="GET",
            url=target.url(path),
            headers=target.headers(target.adapter, {}),
            body=b"",
            provider=target.row.name,
            timeout_s=GET_TIMEOUT_S,
        )
        return await self._send(target, target.adapter, await self._signed(call, target), Heard())


def _told(job: Job, target: Target) -> Told:
    return Told(id=job.id, model=target.model, created_s=now_ms() // 1000)


def _refused(target: Target, wire: PassThrough, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    if status < 400:  # noqa: PLR2004 - HTTP: a redirect
        message = f"The provider answered with a redirect ({status}), which is not followed; check its base_url."
        return Garbled(message, provider=target.row.name, upstream_status=status, should_retry=False)
    return wire.error(target.row, status, headers, body)


async def _pump(chunks: AsyncIterator[bytes], wire: PassThrough, row: Row, relay: Relay, pieces: Pieces) -> None:
    reader = wire.reader()

    async def relayed(frames: list[Frame]) -> None:
        for frame in frames:
            if not frame.data and (error := wire.failed(frame.raw, row)):
                raise error  # asked for a stream, the provider answered with a plain error under status 200
            data = relay.feed(frame)
            await pieces.write(data, opening=not relay.answering)

    try:
        async for chunk in chunks:
            await relayed(reader.feed(chunk))
    except ValueError as cause:
        raise Garbled(f"The provider sent {cause}.", provider=row.name) from cause
    await relayed(reader.close())
    await pieces.write(relay.close())
