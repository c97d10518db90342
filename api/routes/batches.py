"""Batches: created, listed, shown, cancelled, run again, deleted; the results of Anthropic's are also read here."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp

from api import batch_views as views
from api.answers import read
from api.batch_intake import Intake
from api.headers import refuse_async
from api.routes.openai import paths
from api.submit import AnyRequest, Gateway
from shared.batch_records import BatchRecords, no_such_batch
from shared.batch_results import BatchResults
from shared.batches import Batch, Progress
from shared.dialects.anthropic import ANTHROPIC
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import InvalidRequest
from shared.files import Files
from shared.ids import request_id, uuid_of

_ANTHROPIC = "/anthropic/v1/messages/batches"
_encode = msgspec.json.Encoder().encode


class _Desk:
    """Looks batches up for their owners, on one surface."""

    def __init__(self, gateway: Gateway, records: BatchRecords, surface: str) -> None:
        self._gateway = gateway
        self._records = records
        self._surface = surface

    async def find(self, request: AnyRequest, shown: str) -> Progress:
        """The caller's batch. Raises NotFound."""
        return await self._of(self._owner(request), shown)

    async def page(self, request: AnyRequest, page: views.Page) -> list[Progress]:
        """The page, and one more batch when there is more. Raises InvalidRequest for an unknown cursor."""
        place = {"before" if page.newer else "after": uuid_of(page.cursor)}
        found = await self._records.owned(self._owner(request), self._surface, **place, count=page.limit + 1)
        if found is None:
            raise InvalidRequest(f"{page.named_by}: there is no such batch to go on from.", param=page.named_by)
        return found

    async def cancel(self, request: AnyRequest, shown: str) -> Progress:
        """The batch after it was told to stop; one that has ended stays what it is."""
        found = await self.find(request, shown)
        await self._records.cancel(found.batch.id)
        return await self._records.look(found.batch.id)

    async def delete(self, request: AnyRequest, shown: str) -> None:
        """Forget an ended batch. Raises InvalidRequest for another."""
        found = await self.find(request, shown)
        if not found.state.final:
            raise InvalidRequest("The batch has not ended; cancel it, and delete it then.", code="batch_not_ended")
        await self._records.forget(found.batch)

    async def results(self, batch: Batch) -> BatchResults:
        """What an ended batch has come to. Raises NotFound."""
        return BatchResults(self._gateway.bodies.blobs, batch, await self._records.firsts(batch.id))

    def _owner(self, request: AnyRequest) -> str:
        refuse_async(request.headers)
        return self._gateway.door.caller(dict(request.headers)).owner

    async def _of(self, owner: str, shown: str) -> Progress:
        found = await self._records.look(uuid_of(shown))
        if (found.batch.owner, found.batch.surface) != (owner, self._surface):
            raise no_such_batch()
        return found


def routes(gateway: Gateway, records: BatchRecords, files: Files) -> list[HTTPRouteHandler]:
    """The handlers of both surfaces; a batch of one does not exist on the other."""
    intake = Intake(gateway, records, files)
    anthropic, openai = _Desk(gateway, records, "anthropic"), _Desk(gateway, records, "openai")
    return [*_anthropic(gateway, anthropic, intake), *_openai(openai, intake)]


def _anthropic(gateway: Gateway, desk: _Desk, intake: Intake) -> list[HTTPRouteHandler]:
    public_url = gateway.settings.public_url

    def shown(progress: Progress) -> ASGIApp:
        return read(ANTHROPIC, _encode(views.anthropic_batch(progress, public_url)), {})

    @post(_ANTHROPIC, status_code=200)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create a batch of the requests in the body."""
        return shown(await intake.anthropic(request))

    @get(_ANTHROPIC)
    async def list_batches(request: AnyRequest) -> ASGIApp:
        """The caller's batches, newest first, in pages."""
        query = request.query_params
        page = views.read_page(query, most=views.ANTHROPIC_PAGE, after="after_id", before="before_id")
        return read(ANTHROPIC, views.anthropic_list(await desk.page(request, page), page, public_url), {})

    @get(_ANTHROPIC + "/{name:str}")
    async def retrieve(request: AnyRequest, name: str) -> ASGIApp:
        """A batch as it stands."""
        return shown(await desk.find(request, name))

    @post(_ANTHROPIC + "/{name:str}/cancel", status_code=200)
    async def cancel(request: AnyRequest, name: str) -> ASGIApp:
        """Let what has begun end, and begin nothing more."""
        return shown(await desk.cancel(request, name))

    @post(_ANTHROPIC + "/{name:str}/retry", status_code=200)
    async def retry(request: AnyRequest, name: str) -> ASGIApp:
        """A new batch of what did not succeed."""
        return shown(await intake.retry(request, await desk.find(request, name)))

    @delete(_ANTHROPIC + "/{name:str}", status_code=200)
    async def remove(request: AnyRequest, name: str) -> ASGIApp:
        """Forget a batch that has ended."""
        await desk.delete(request, name)
        return read(ANTHROPIC, _encode({"id": name, "type": "message_batch_deleted"}), {})

    @get(_ANTHROPIC + "/{name:str}/results")
    async def results(request: AnyRequest, name: str) -> ASGIApp:
        """One line of JSON for each request, once the batch has ended."""
        progress = await desk.find(request, name)
        if not progress.state.final:
            raise InvalidRequest("The batch has not ended; its results can be read then.", code="batch_not_ended")
        return await _results(await desk.results(progress.batch), progress.batch.shards)

    return [create, list_batches, retrieve, cancel, retry, remove, results]


def _openai(desk: _Desk, intake: Intake) -> list[HTTPRouteHandler]:
    def shown(progress: Progress) -> ASGIApp:
        return read(OPENAI_CHAT, _encode(views.openai_batch(progress)), {})

    @post(paths("/batches"), status_code=200)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create a batch of the requests in a file, or in the body."""
        return shown(await intake.openai(request))

    @get(paths("/batches"))
    async def list_batches(request: AnyRequest) -> ASGIApp:
        """The caller's batches, newest first, in pages."""
        page = views.read_page(request.query_params, most=views.OPENAI_PAGE, after="after")
        return read(OPENAI_CHAT, views.openai_list(await desk.page(request, page), page), {})

    @get(paths("/batches/{name:str}"))
    async def retrieve(request: AnyRequest, name: str) -> ASGIApp:
        """A batch as it stands."""
        return shown(await desk.find(request, name))

    @post(paths("/batches/{name:str}/cancel"), status_code=200)
    async def cancel(request: AnyRequest, name: str) -> ASGIApp:
        """Let what has begun end, and begin nothing more."""
        return shown(await desk.cancel(request, name))

    @post(paths("/batches/{name:str}/retry"), status_code=200)
    async def retry(request: AnyRequest, name: str) -> ASGIApp:
        """A new batch of what did not succeed."""
        return shown(await intake.retry(request, await desk.find(request, name)))

    @delete(paths("/batches/{name:str}"), status_code=200)
    async def remove(request: AnyRequest, name: str) -> ASGIApp:
        """Forget a batch that has ended; the files of its results stay."""
        await desk.delete(request, name)
        return read(OPENAI_CHAT, _encode({"id": name, "object": "batch.deleted", "deleted": True}), {})

    return [create, list_batches, retrieve, cancel, retry, remove]


async def _results(found: BatchResults, shards: int) -> ASGIStreamingResponse:
    """The first chunk is fetched before the answer begins: a store that is away is a 503."""
    lines = _lines(found, shards)
    first = await anext(lines, b"")

    async def chunks() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(lines):
            yield first
            async for chunk in lines:
                yield chunk

    return ASGIStreamingResponse(
        iterator=chunks(),
        media_type="application/x-jsonl",
        headers={ANTHROPIC.request_id_header: request_id()},
    )


async def _lines(found: BatchResults, shards: int) -> AsyncGenerator[bytes, None]:
    for number in range(shards):
        for kind in ("out", "err"):
            async with contextlib.aclosing(found.lines(kind, number)) as chunks:
                async for chunk in chunks:
                    yield chunk
        if missing := await found.missing(number):
            yield missing
