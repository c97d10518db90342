"""A batch is created: shards into the object store, then the record, then the job that starts it, then the answer.

What dies before the record leaves shards that nobody speaks of, and the sweep deletes them. What dies between record
and job leaves a batch that nobody was promised; a client that asks again, as SDKs do by themselves, joins it, and it is
started then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from api.auth import Caller
from api.batch_asker import MODES, Asker, check_native, configured, mode_for, read_asker
from api.batch_shards import Shards
from api.batch_splitting import MIB
from api.batching import (
    ANTHROPIC_LIMITS,
    ENDPOINTS,
    OPENAI_LIMITS,
    AnthropicRequests,
    InputFile,
    Limits,
    OpenAIRequests,
)
from api.headers import wishes
from api.incoming import incoming
from api.submit import AnyRequest, Gateway
from shared import files
from shared.batch_records import BatchRecords
from shared.batches import Batch, BatchState, Item, Progress, blob, items_of
from shared.errors import CallerError, GatewayError, InvalidRequest, NotFound, Stalled, TooLarge
from shared.files import Files
from shared.ids import now_ms, request_id, uuid_of
from shared.jobs import Job
from shared.lanes import Lane
from shared.queue import DEFAULT_SHARE
from shared.stores.blobs import BlobMissing
from shared.traces import current

INTAKE_S = 3000.0
"""Longest time a create may take: the sweep must not take the first shards for forgotten before the last is there."""
START_TTL_S = 3600
"""How long the job that started a batch is remembered."""


class _Named(msgspec.Struct):
    """What a line of results says of its item, on either surface."""

    custom_id: str


_named = msgspec.json.Decoder(_Named).decode


class Intake:
    """Creates batches. Whatever refuses one deletes what was written of it."""

    def __init__(self, gateway: Gateway, records: BatchRecords, known: Files) -> None:
        self._gateway = gateway
        self._blobs = gateway.bodies.blobs
        self._records = records
        self._files = known
        self._turn = asyncio.Lock()

    async def anthropic(self, request: AnyRequest) -> Progress:
        """The batch that the body of an Anthropic create asks for. Raises GatewayError."""
        asker = read_asker(request, self._gateway)
        async with self._writing(asker.caller.owner) as shards:
            body = await shards.take(_body(request, ANTHROPIC_LIMITS), AnthropicRequests())
            await shards.close()
        provider = asker.provider or "anthropic"
        batch = _batch(asker, shards, surface="anthropic", dialect="anthropic", provider=provider)
        return await self._accept(asker, batch, shards, body)

    async def openai(self, request: AnyRequest) -> Progress:
        """The batch that the body of an OpenAI create asks for, its items in a file or inline. Raises GatewayError."""
        asker, source = read_asker(request, self._gateway), OpenAIRequests()
        async with self._writing(asker.caller.owner) as shards:
            body = await shards.take(_body(request, OPENAI_LIMITS), source)
            fields = source.fields
            provider = configured(self._gateway.settings, "provider", fields.provider) or asker.provider or "openai"
            input_file = ""
            if fields.input_file_id:
                input_file = await self._take_file(shards, fields.input_file_id, asker.caller.owner, fields.endpoint)
            await shards.close()
        dialect, operation = ENDPOINTS[fields.endpoint]
        batch = _batch(
            asker,
            shards,
            surface="openai",
            dialect=dialect,
            operation=operation,
            provider=provider,
            endpoint=fields.endpoint,
            input_file=input_file,
            metadata=fields.metadata or {},
            output_expires_s=fields.output_expires_after.seconds if fields.output_expires_after else 0,
        )
        return await self._accept(asker, batch, shards, body)

    async def retry(self, request: AnyRequest, progress: Progress) -> Progress:
        """A batch of those items of an ended one that did not succeed. Raises GatewayError."""
        return await self._retry(read_asker(request, self._gateway), progress)

    async def retry_for_owner(self, progress: Progress) -> Progress:
        """The same, asked for by an operator. Raises GatewayError."""
        owner = progress.batch.owner
        grant = await self._gateway.door.keyring.of_owner(owner)
        caller = Caller(owner, grant.share if grant else DEFAULT_SHARE, grant)
        wish = wishes({}, self._gateway.settings.client)
        return await self._retry(Asker(caller, wish, "", mode_for(caller), {}, now_ms()), progress)

    async def _retry(self, asker: Asker, progress: Progress) -> Progress:
        old = progress.batch
        failed = old.total - progress.counts.succeeded
        if not progress.state.final:
            raise InvalidRequest("The batch has not ended; only then what failed of it can be run again.")
        if not failed:
            raise InvalidRequest("Every request of the batch succeeded; there is none to run again.")
        async with self._writing(old.owner) as shards:
            for number in range(old.shards):
                await shards.add(await self._failed(old, number, shards.items))
            await shards.close()
            if shards.items != failed:
                raise _lost()
        batch = replace(
            old,
            id=shards.batch_id,
            provider=asker.provider or old.provider,
            total=shards.items,
            shards=shards.count,
            created_ms=now_ms(),
            mode=asker.mode or old.mode,
            retry_of=old.id,
        )
        return await self._accept(asker, batch, shards, b"retry " + old.id.encode())

    # --- what is run ----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _writing(self, owner: str) -> AsyncIterator[Shards]:
        shards = Shards(self._blobs, owner, self._turn)
        try:
            async with asyncio.timeout(INTAKE_S):
                yield shards
        except BaseException as error:
            await shards.discard()
            if isinstance(error, TimeoutError):
                raise Stalled(f"The batch has not arrived within {INTAKE_S:g} s; send it faster.") from error
            raise

    async def _take_file(self, shards: Shards, shown: str, owner: str, endpoint: str) -> str:
        """Take the items from the owner's file; its UUID."""
        try:
            file = await self._files.find(uuid_of(shown), owner, shown)
            if file.size > OPENAI_LIMITS.size:
                raise _too_large("input_file_id: the file", OPENAI_LIMITS)
            async with aclosing(self._blobs.of(owner).read(files.blob(file.id))) as chunks:
                await shards.take(chunks, InputFile(endpoint))
        except (NotFound, BlobMissing) as error:
            why = error.message if isinstance(error, NotFound) else "The bytes of this file are gone; upload it again."
            raise InvalidRequest(f"input_file_id: {why}", param="input_file_id") from error
        return file.id

    async def _failed(self, batch: Batch, number: int, first: int) -> list[Item]:
        """The items of a shard that did not succeed, numbered from `first`."""
        own = self._blobs.of(batch.owner)
        try:
            lines = await own.get(blob(batch.id, "err", number))
            items = await own.get(blob(batch.id, "in", number))
        except BlobMissing as error:
            if error.key == blob(batch.id, "err", number):
                return []
            raise _lost() from error
        return await asyncio.to_thread(_among, items, lines, first)

    # --- from then on it is promised ------------------------------------------------------------------

    async def _accept(self, asker: Asker, batch: Batch, shards: Shards, body: bytes) -> Progress:
        """Publish the batch, or join the one that the same request became before.

        When a store fails here nobody knows how far it went, so nothing is deleted: a retry finds the batch, or else
        the sweep deletes its shards.
        """
        what = (batch.surface.encode(), batch.provider.encode(), batch.mode.encode(), body)
        again = asker.wish.asked(batch.owner, *what, began_ms=asker.began_ms)
        try:
            check_native(batch)
            hooks = await self._gateway.webhooks.of_batch(batch, asker.wish.webhook)
            became = await self._records.create(batch, shards.firsts, asked=again, hooks=hooks)
            if became == batch.id:
                await self._start(batch, asker.caller)
        except CallerError:
            await self._records.forget(batch)
            await shards.discard()
            raise
        if became != batch.id:
            await shards.discard()
            earlier = await self._records.look(became)
            if earlier.state is BatchState.VALIDATING:
                await self._start(earlier.batch, asker.caller)
        return await self._records.look(became)

    async def _start(self, batch: Batch, caller: Caller) -> None:
        """Line up the job that starts it; a second time changes nothing."""
        job = Job(
            id=batch.id,
            owner=batch.owner,
            dialect=batch.dialect,
            operation="start_batch",
            model="",
            request_id=request_id(),
            created_ms=batch.created_ms,
            ttl_s=START_TTL_S,
            deadline_ms=batch.expires_ms,
            lane=Lane.CHORES,
            trace=current(),
        )
        await self._gateway.queue.submit(job, b"", waiter="", share=caller.share)


def _batch(asker: Asker, shards: Shards, **facts: Any) -> Batch:
    return Batch(
        id=shards.batch_id,
        owner=asker.caller.owner,
        total=shards.items,
        shards=shards.count,
        created_ms=now_ms(),
        headers=asker.headers,
        mode=asker.mode or MODES[0],
        **facts,
    )


def _among(shard: bytes, lines: bytes, first: int) -> list[Item]:
    """The items of the shard that the lines of results are about, numbered from `first`."""
    names = {_named(line).custom_id for line in lines.split(b"\n") if line}
    items = [item for item in items_of(shard) if item.custom_id in names]
    return [replace(item, index=index) for index, item in enumerate(items, first)]


def _body(request: AnyRequest, limits: Limits) -> AsyncIterator[bytes]:
    """The body as it comes. Raises TooLarge before more than the limit has been taken, Encoded."""
    return incoming(request, limits.size, _too_large("The body", limits))


def _too_large(what: str, limits: Limits) -> TooLarge:
    return TooLarge(f"{what} is larger than {limits.size // MIB} MiB; make several batches of it.")


def _lost() -> GatewayError:
    return GatewayError(
        "The gateway has lost requests of this batch: they are no longer in the object store.",
        code="body_lost",
        should_retry=False,
    )
