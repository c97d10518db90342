"""OpenAI's uploads: a large file sent in parts, put together when it is complete."""

from __future__ import annotations

import uuid

from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.answers import read
from api.file_store import FileStore
from api.file_terms import FileLimits
from api.routes.files import owner_of
from api.routes.openai import paths
from api.submit import AnyRequest, Gateway, whole_json
from api.upload_store import UploadStore
from api.upload_views import part_object, read_upload, upload_object
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.files import Files
from shared.ids import now_ms
from shared.uploads import Uploads


def routes(gateway: Gateway, files: Files, records: Uploads) -> list[HTTPRouteHandler]:
    """The handlers of `/uploads` below every OpenAI base URL."""
    store = UploadStore(records, FileStore(files, gateway.bodies.blobs))
    limits = FileLimits.of(gateway.settings.client.max_file_mb)

    async def body_of(request: AnyRequest) -> bytes:
        return await whole_json(request, gateway.settings.client.max_request_body_size_mb)

    @post(paths("/uploads"), status_code=200)
    async def create(request: AnyRequest) -> ASGIApp:
        """Announce a file that will come in parts."""
        owner = owner_of(gateway, request)
        upload = read_upload(await body_of(request), limits, str(uuid.uuid4()), owner, now_ms())
        await records.create(upload)
        return read(OPENAI_CHAT, upload_object(upload, "pending"), {})

    @post(paths("/uploads/{name:str}/parts"), status_code=200)
    async def add_part(request: AnyRequest, name: str) -> ASGIApp:
        """Add the part `data` of a form."""
        standing = await store.find(name, owner_of(gateway, request))
        part_id = await store.add_part(request, standing)
        return read(OPENAI_CHAT, part_object(standing.upload, part_id, now_ms()), {})

    @post(paths("/uploads/{name:str}/complete"), status_code=200)
    async def complete(request: AnyRequest, name: str) -> ASGIApp:
        """Make the file of the parts, in the order given; again, the same file."""
        standing = await store.find(name, owner_of(gateway, request))
        file = await store.complete(standing, await body_of(request))
        return read(OPENAI_CHAT, upload_object(standing.upload, "completed", file), {})

    @post(paths("/uploads/{name:str}/cancel"), status_code=200)
    async def cancel(request: AnyRequest, name: str) -> ASGIApp:
        """Drop the upload and its parts."""
        standing = await store.find(name, owner_of(gateway, request))
        await store.cancel(standing)
        return read(OPENAI_CHAT, upload_object(standing.upload, "cancelled"), {})

    return [create, add_part, complete, cancel]
