"""Runs a job: resolve the target, render, send, parse; one attempt per claim.

A failed attempt goes back to the queue with its delay, never to sleep: the next claim, by whichever worker, reads off
the attempts where the job stands.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias
from urllib.parse import quote

import msgspec

from shared.chat import ChatRequest
from shared.dialects import DIALECTS
from shared.dialects.base import Dialect
from shared.errors import Failure, Garbled, GatewayError, ProviderError, StoreError, Unsupported
from shared.ids import now_ms
from shared.jobs import Attempt, Job, Outcome
from shared.models import ListedModel
from worker.attachments import Attachments
from worker.lease import Lease
from worker.providers.base import PassThrough, Reader, Row
from worker.relay import Pieces, Relay, SameWire, Translated
from worker.retry import Next, decide
from worker.routing import Router, Target, place
from worker.transport import Call, Transport

MODELS_TIMEOUT_S = 10.0
FILES_AWAY_S = 2.0
"""When a request is due again whose files could not be fetched."""
UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding a provider's answer may raise, however it is broken."""
_OBJECT = re.compile(rb'\s*\{\s*"')
_HEADER_SAFE = "/:@._-+~ ()[],=!$&'*;"
TRANSLATED = frozenset({"chat", "count_tokens"})
"""Operations that a provider of another wire can do; what it cannot its adapter's `path` says."""


class TryLater(Exception):
    """The attempt failed and the policy wants another one after `delay_s` seconds."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(delay_s)
        self.delay_s = delay_s


class StreamBroke(Exception):
    """The answer broke off after the client had seen its beginning."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.message)
        self.error = error


class Asked(Protocol):
    """What is to be answered: a leased job, or an item of a batch, which is never streamed."""

    job: Job
    body: bytes
    attempts: tuple[Attempt, ...]


class Media(Protocol):
    """Fetches what a provider cannot fetch itself."""

    async def embedded(self, request: ChatRequest, row: Row) -> ChatRequest:
        """The request with the bytes behind its URLs put in. Raises InvalidRequest, naming the field."""
        ...


Sign: TypeAlias = Callable[[Call, Target], Awaitable[Call]]
"""Adds what a key's signature or token needs time for; most keys are a header that the adapter has set already."""


class Executor:
    """Turns what was asked into an outcome.

    Without `attachments`, ids of files stay what they are; without `media`, URLs do; without `sign`, calls carry only
    the headers of their adapter.
    """

    def __init__(
        self,
        router: Router,
        transport: Transport,
        attachments: Attachments | None = None,
        *,
        media: Media | None = None,
        sign: Sign | None = None,
    ) -> None:
        self._router = router
        self._transport = transport
        self._attachments = attachments
        self._media = media
        self._sign = sign

    async def run(self, asked: Asked) -> Outcome:
        """Make one attempt.

        Raises:
            TryLater: it failed and is to be repeated, here or at a fallback; or a store is away that holds its files.
            GatewayError: it failed for good; with fallbacks, the first target's error.
            StreamBroke: the stream must be ended with its error.
        """
        job = asked.job
        if job.operation == "models":
            return await self._models()
        targets = self._router.resolve(job, DIALECTS[job.dialect].default_provider)
        index, tries = place(asked.attempts)
        target = self._router.target(*targets[index])
        started = now_ms()
        try:
            outcome = await self._attempt(asked, target)
        except ProviderError as error:
            left_s = (job.deadline_ms - now_ms()) / 1000
            more = index + 1 < len(targets)
            decision = decide(error, tries + 1, target.provider.network, more_targets=more, left_s=left_s)
            asked.attempts += (_attempt(asked, target, started, error, decision.then),)
            if decision.then is Next.FAIL:
                raise _primary(asked.attempts) from error
            raise TryLater(decision.delay_s) from error
        except StreamBroke as broke:
            asked.attempts += (_attempt(asked, target, started, broke.error, Next.FAIL),)
            raise
        asked.attempts += (_attempt(asked, target, started, None, None),)
        outcome.headers.update({"x-bf-provider": target.row.name, "x-bf-model": quote(target.model, safe=_HEADER_SAFE)})
        if index:
            outcome.headers["x-bf-fallback-index"] = str(index)
        return outcome

    async def _attempt(self, asked: Asked, target: Target) -> Outcome:
        job, dialect = asked.job, DIALECTS[asked.job.dialect]
        if wire := target.speaking(dialect.wire):
            body = wire.edit(await self._with_files(asked), target.row, target.upstream_model, job.operation)
            call = await self._call(job, target, wire, body)
            if job.stream and isinstance(asked, Lease):
                relay = SameWire(wire.tap(target.row, job, asked.body), target.row.name)
                return await self._stream(asked, target, wire, call, relay)
            return await self._plain_same_wire(asked, target, wire, call)
        if job.operation not in TRANSLATED:
            raise Unsupported(
                f"model: provider {target.row.name!r} has no {job.operation} on this surface.", param="model"
            )
        return await self._translated(asked, dialect, target)

    async def _with_files(self, asked: Asked) -> bytes:
        if self._attachments is None:
            return asked.body
        try:
            return await self._attachments.inlined(asked.job, asked.body)
        except StoreError as error:
            raise TryLater(FILES_AWAY_S) from error

    async def _plain_same_wire(self, asked: Asked, target: Target, wire: PassThrough, call: Call) -> Outcome:
        body = await self._send(target, wire, call)
        try:
            usage = wire.usage(body)
            body = wire.relabel(body, asked.job, asked.body)
        except UNREADABLE as cause:
            raise Garbled("The provider's answer is not JSON.", provider=target.row.name) from cause
        if not _OBJECT.match(body):
            raise Garbled("The provider's answer is empty.", provider=target.row.name)
        return Outcome(status=200, body=body, usage=usage if usage.known else None)

    async def _translated(self, asked: Asked, dialect: Dialect, target: Target) -> Outcome:
        job, adapter = asked.job, target.adapter
        request = dialect.parse(await self._with_files(asked), target.upstream_model, job.headers)
        if self._media is not None and not target.row.fetches:
            request = await self._media.embedded(request, target.row)
        rendered = adapter.render(request, target.row, job.operation)
        call = await self._call(job, target, adapter, rendered.body)
        headers = {"x-bf-dropped": ", ".join(rendered.dropped)} if rendered.dropped else {}
        if job.stream and isinstance(asked, Lease):
            renderer = dialect.stream(request, job, asked.body)
            relay = Translated(adapter.stream(target.row), renderer, target.row.name, now_ms() // 1000)
            outcome = await self._stream(asked, target, adapter, call, relay)
            outcome.headers.update(headers)
            return outcome
        body = await self._send(target, adapter, call)
        try:
            if job.operation == "count_tokens":
                return Outcome(status=200, body=dialect.render_count(adapter.count(body)), headers=headers)
            answer = adapter.parse(body, target.row)
        except UNREADABLE as cause:
            raise Garbled("The provider's answer cannot be read.", provider=target.row.name) from cause
        if answer.created_s is None:
            answer = msgspec.structs.replace(answer, created_s=now_ms() // 1000)
        usage = answer.usage if answer.usage.known else None
        return Outcome(status=200, body=dialect.render(answer, job, asked.body), usage=usage, headers=headers)

    async def _send(self, target: Target, wire: PassThrough, call: Call) -> bytes:
        answer = await self._transport.send(call)
        if answer.status >= 300:  # noqa: PLR2004 - a redirect is never followed: the key is bound to its host
            raise _refused(target, wire, answer.status, answer.headers, answer.body)
        return answer.body

    async def _stream(self, lease: Lease, target: Target, wire: PassThrough, call: Call, relay: Relay) -> Outcome:
        pieces = Pieces(lease)
        try:
            async with self._transport.stream(call) as answer:
                if answer.status >= 300:  # noqa: PLR2004 - as above
                    raise _refused(target, wire, answer.status, answer.headers, await answer.read())
                await _pump(answer.chunks(), wire.reader(), relay, pieces, target.row.name)
        except ProviderError as error:
            await pieces.close()
            if pieces.written:
                raise StreamBroke(error) from error
            raise
        except BaseException:
            pieces.abandon()
            raise
        await pieces.close()
        return Outcome(status=200, body=relay.final, usage=relay.usage)

    async def _call(self, job: Job, target: Target, wire: PassThrough, body: bytes) -> Call:
        network = target.provider.network
        call = Call(
            method="POST",
            url=target.base_url + wire.path(job.operation, target.upstream_model, stream=job.stream),
            headers={**wire.headers(target.row, target.key.value, job.headers), **network.extra_headers},
            body=body,
            provider=target.row.name,
            timeout_s=network.default_request_timeout_in_seconds,
            idle_s=network.stream_idle_timeout_in_seconds,
        )
        return await self._signed(call, target)

    async def _signed(self, call: Call, target: Target) -> Call:
        return call if self._sign is None else await self._sign(call, target)

    # --- models ---------------------------------------------------------------------------------------

    async def _models(self) -> Outcome:
        """Every configured provider's list; a provider that fails is named in a header, all failing is an error."""
        names = list(self._router.providers)
        lists = await asyncio.gather(*map(self._list, names), return_exceptions=True)
        failed = [reply for reply in lists if isinstance(reply, BaseException)]
        for error in failed:
            if not isinstance(error, GatewayError):
                raise error
        if failed and len(failed) == len(names):
            raise failed[0]
        missing = [name for name, reply in zip(names, lists, strict=True) if isinstance(reply, BaseException)]
        entries = [entry for reply in lists if not isinstance(reply, BaseException) for entry in reply]
        headers = {"x-bf-models-missing": ", ".join(missing)} if missing else {}
        return Outcome(status=200, body=msgspec.json.encode(entries), headers=headers)

    async def _list(self, provider: str) -> list[ListedModel]:
        target = self._router.any_target(provider)
        call = Call(
            method="GET",
            url=target.base_url + target.adapter.path("models"),
            headers={
                **target.adapter.headers(target.row, target.key.value, {}),
                **target.provider.network.extra_headers,
            },
            body=b"",
            provider=provider,
            timeout_s=MODELS_TIMEOUT_S,
        )
        body = await self._send(target, target.adapter, await self._signed(call, target))
        try:
            listed = target.adapter.models(body)
        except msgspec.MsgspecError as cause:
            raise Garbled("The provider's model list cannot be read.", provider=provider) from cause
        return [
            ListedModel(
                provider=provider,
                id=model.id,
                wire=target.adapter.wire,
                display_name=model.display_name,
                created_s=model.created_s,
                owned_by=model.owned_by,
                raw=msgspec.UNSET if model.raw is None else model.raw,
            )
            for model in listed
            if any(key.serves(model.id) for key in target.provider.keys or (target.key,))
        ]


def _refused(target: Target, wire: PassThrough, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    if status < 400:  # noqa: PLR2004 - HTTP: a redirect
        message = f"The provider answered with a redirect ({status}), which is not followed; check its base_url."
        return Garbled(message, provider=target.row.name, upstream_status=status, should_retry=False)
    return wire.error(target.row, status, headers, body)


async def _pump(chunks: AsyncIterator[bytes], reader: Reader, relay: Relay, pieces: Pieces, provider: str) -> None:
    try:
        async for chunk in chunks:
            for frame in reader.feed(chunk):
                await pieces.write(relay.feed(frame))
    except ValueError as cause:
        raise Garbled(f"The provider sent {cause}.", provider=provider) from cause
    for frame in reader.close():
        await pieces.write(relay.feed(frame))
    await pieces.write(relay.close())


def _attempt(asked: Asked, target: Target, started_ms: int, error: ProviderError | None, then: Next | None) -> Attempt:
    return Attempt(
        number=len(asked.attempts) + 1,
        target=target.name,
        key=target.key.name,
        started_ms=started_ms,
        ended_ms=now_ms(),
        failure=Failure.of(error) if error else None,
        then=then or "",
    )


def _primary(attempts: tuple[Attempt, ...]) -> ProviderError:
    """The first target's last error: what the client asked for, not what the gateway tried next."""
    last = next((attempt for attempt in attempts if attempt.then == Next.FALLBACK), attempts[-1])
    assert last.failure is not None, "a fallback follows a failure"  # noqa: S101 - written a few lines above
    return last.failure.error()
