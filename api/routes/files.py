"""Files: uploaded, listed, read and deleted on both surfaces, which show the same files under their own names."""

from __future__ import annotations

import msgspec
from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import file_views, partial_output
from api.answers import read
from api.file_store import FileStore
from api.file_terms import FileLimits
from api.headers import refuse_async, wishes
from api.routes.openai import paths
from api.submit import AnyRequest, Gateway
from shared.batch_records import BatchRecords
from shared.dialects.anthropic import ANTHROPIC
from shared.dialects.base import Dialect
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import NotFound
from shared.files import File, Files
from shared.ids import request_id

_ANTHROPIC = "/anthropic/v1/files"
_json = msgspec.json.Encoder().encode


def routes(gateway: Gateway, records: Files, batches: BatchRecords) -> list[HTTPRouteHandler]:
    """The handlers of both surfaces."""
    store = FileStore(records, gateway.bodies.blobs)
    return [handler for part in (_anthropic, _openai, _content) for handler in part(gateway, store, batches)]


def _anthropic(gateway: Gateway, store: FileStore, batches: BatchRecords) -> list[HTTPRouteHandler]:
    limits = FileLimits.of(gateway.settings.client.max_file_mb)

    @post(_ANTHROPIC, status_code=200)
    async def upload(request: AnyRequest) -> ASGIApp:
        """Upload the part `file` of a form."""
        owner = owner_of(gateway, request)
        wish = wishes(request.headers, gateway.settings.client)
        file = await store.receive(request, owner, wish, limits.anthropic_terms, limits.anthropic)
        return read(ANTHROPIC, _json(file_views.anthropic_file(file)), {})

    @get(_ANTHROPIC)
    async def list_files(request: AnyRequest) -> ASGIApp:
        """The caller's files, newest first, in pages; or those named by `ids[]`."""
        owner, query = owner_of(gateway, request), request.query_params
        if ids := query.getall("ids[]", []) + query.getall("ids", []):
            found = await store.records.among(file_views.anthropic_ids(ids, query), owner)
            return read(ANTHROPIC, file_views.anthropic_list(found, file_views.Page(len(ids))), {})
        page = file_views.anthropic_query(query)
        return read(ANTHROPIC, file_views.anthropic_list(await store.listed(owner, page), page), {})

    @get(_ANTHROPIC + "/{name:str}")
    async def retrieve(request: AnyRequest, name: str) -> ASGIApp:
        """What is known of a file."""
        file = await _found(store, batches, name, owner_of(gateway, request))
        return read(ANTHROPIC, _json(file_views.anthropic_file(file)), {})

    @delete(_ANTHROPIC + "/{name:str}", status_code=200)
    async def remove(request: AnyRequest, name: str) -> ASGIApp:
        """Delete a file."""
        await store.delete(await store.find(name, owner_of(gateway, request)))
        return read(ANTHROPIC, _json({"id": name, "type": "file_deleted"}), {})

    return [upload, list_files, retrieve, remove]


def _openai(gateway: Gateway, store: FileStore, batches: BatchRecords) -> list[HTTPRouteHandler]:
    limits = FileLimits.of(gateway.settings.client.max_file_mb)

    @post(paths("/files"), status_code=200)
    async def upload(request: AnyRequest) -> ASGIApp:
        """Upload the part `file` of a form, for the purpose it names."""
        owner = owner_of(gateway, request)
        wish = wishes(request.headers, gateway.settings.client)
        file = await store.receive(request, owner, wish, limits.openai_terms, limits.openai)
        return read(OPENAI_CHAT, _json(file_views.openai_file(file)), {})

    @get(paths("/files"))
    async def list_files(request: AnyRequest) -> ASGIApp:
        """The caller's files, in pages, of one purpose if asked."""
        owner, page = owner_of(gateway, request), file_views.openai_query(request.query_params)
        return read(OPENAI_CHAT, file_views.openai_list(await store.listed(owner, page), page), {})

    @get(paths("/files/{name:str}"))
    async def retrieve(request: AnyRequest, name: str) -> ASGIApp:
        """What is known of a file."""
        file = await _found(store, batches, name, owner_of(gateway, request))
        return read(OPENAI_CHAT, _json(file_views.openai_file(file)), {})

    @delete(paths("/files/{name:str}"), status_code=200)
    async def remove(request: AnyRequest, name: str) -> ASGIApp:
        """Delete a file."""
        await store.delete(await store.find(name, owner_of(gateway, request)))
        return read(OPENAI_CHAT, _json({"id": name, "object": "file", "deleted": True}), {})

    return [upload, list_files, retrieve, remove]


def _content(gateway: Gateway, store: FileStore, batches: BatchRecords) -> list[HTTPRouteHandler]:
    async def sent(request: AnyRequest, name: str, dialect: Dialect) -> ASGIApp:
        owner, headers = owner_of(gateway, request), {dialect.request_id_header: request_id()}
        try:
            file = await store.find(name, owner)
        except NotFound:
            try:
                return await partial_output.content(batches, store.blobs, name, owner, headers)
            except NotFound:  # or the batch has ended meanwhile
                file = await store.find(name, owner)
        return await store.send(request, file, name, headers)

    @get(_ANTHROPIC + "/{name:str}/content")
    async def download(request: AnyRequest, name: str) -> ASGIApp:
        """The bytes of a file, or a range of them."""
        return await sent(request, name, ANTHROPIC)

    @get(paths("/files/{name:str}/content"))
    async def content(request: AnyRequest, name: str) -> ASGIApp:
        """The bytes of a file, or a range of them."""
        return await sent(request, name, OPENAI_CHAT)

    return [download, content]


async def _found(store: FileStore, batches: BatchRecords, name: str, owner: str) -> File:
    """The owner's file, or what there is of the one that a running batch will leave. Raises NotFound."""
    try:
        return await store.find(name, owner)
    except NotFound:
        try:
            return await partial_output.find(batches, store.blobs, name, owner)
        except NotFound:  # or the batch has ended meanwhile
            return await store.find(name, owner)


def owner_of(gateway: Gateway, request: AnyRequest) -> str:
    """Who asks; these routes have no async form. Raises InvalidRequest, NotAuthenticated, NotPermitted."""
    refuse_async(request.headers)
    return gateway.door.caller(dict(request.headers)).owner
