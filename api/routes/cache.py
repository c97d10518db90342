"""The response cache: `DELETE /api/cache/clear/{id}` and `/api/cache/clear-by-key/{key}`, as Bifrost has them.

A virtual key clears what is its own, the administration's token what is anybody's.
"""

from __future__ import annotations

from litestar import delete
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from msgspec.json import encode

from api.admin_auth import AdminDoor
from api.answers import read
from api.submit import AnyRequest, Gateway
from shared.answer_store import AnswerStore
from shared.cache import key_digest
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import NotFound


def routes(gateway: Gateway, kept: AnswerStore) -> list[HTTPRouteHandler]:
    """The handlers."""
    administration = AdminDoor(gateway.settings.governance.admin)

    def owner(request: AnyRequest) -> str | None:
        """Whose answers may be cleared; None for anybody's. Raises GatewayError."""
        if administration.knows(request):
            return None
        return gateway.door.caller(dict(request.headers)).owner

    @delete("/api/cache/clear/{entry_id:str}", status_code=200)
    async def clear(request: AnyRequest, entry_id: str) -> ASGIApp:
        """Forget one answer, by the `x-bf-cache-id` that came with it."""
        if not await kept.clear(entry_id, owner(request)):
            message = "No such answer in the cache: unknown, expired, or not yours."
            raise NotFound(message, code="cache_entry_not_found")
        return _cleared(1)

    @delete("/api/cache/clear-by-key/{key:path}", status_code=200)
    async def clear_by_key(request: AnyRequest, key: str) -> ASGIApp:
        """Forget all answers under a cache key."""
        return _cleared(await kept.clear_key(key_digest(key.removeprefix("/")), owner(request)))

    return [clear, clear_by_key]


def _cleared(count: int) -> ASGIApp:
    return read(OPENAI_CHAT, encode({"message": "Cache cleared successfully", "cleared": count}), {})
