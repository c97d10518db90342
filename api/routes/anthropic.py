"""The Anthropic surface: `/anthropic/v1/…`."""

from __future__ import annotations

from litestar import get, head, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import model_lists
from api.answers import read
from api.headers import refuse_async
from api.submit import AnyRequest, Gateway
from shared.dialects.anthropic import ANTHROPIC


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The surface's handlers; they close over the gateway, which costs nothing per request."""

    @head(["/anthropic", "/anthropic/"])
    async def greet() -> None:
        """Claude Code asks whether the base URL is alive before its first message."""

    @post("/anthropic/v1/messages", status_code=200)
    async def messages(request: AnyRequest) -> ASGIApp:
        """Create a message: plain, streamed or as a job."""
        return await gateway.answer(request, ANTHROPIC)

    @post("/anthropic/v1/messages/count_tokens", status_code=200)
    async def count_tokens(request: AnyRequest) -> ASGIApp:
        """Count the tokens of a message without creating it."""
        refuse_async(request.headers)
        return await gateway.answer(request, ANTHROPIC, "count_tokens")

    @get("/anthropic/v1/models")
    async def list_models(request: AnyRequest) -> ASGIApp:
        """Every configured provider's models, in pages."""
        refuse_async(request.headers)
        outcome = await gateway.ask(request, ANTHROPIC, "models")
        return read(ANTHROPIC, model_lists.anthropic_page(outcome.body, request.query_params), outcome.headers)

    @get("/anthropic/v1/models/{name:path}")
    async def retrieve_model(request: AnyRequest, name: str) -> ASGIApp:
        """One model; its id may hold a slash, raw or percent-encoded."""
        refuse_async(request.headers)
        outcome = await gateway.ask(request, ANTHROPIC, "models")
        return read(ANTHROPIC, model_lists.one(outcome.body, "anthropic", name.lstrip("/")), outcome.headers)

    return [greet, messages, count_tokens, list_models, retrieve_model]
