"""The Anthropic surface: `/anthropic/v1/…`."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, head, post

from api import model_lists
from api.headers import refuse_async
from api.submit import Gateway
from shared.dialects.anthropic import ANTHROPIC


@head(["/anthropic", "/anthropic/"])
async def greet() -> None:
    """Claude Code asks whether the base URL is alive before its first message."""


@post("/anthropic/v1/messages", status_code=200)
async def messages(request: Request[Any, Any, Any], gateway: Gateway) -> Response[Any]:
    """Create a message: plain, streamed or as a job."""
    return await gateway.answer(request, ANTHROPIC)


@post("/anthropic/v1/messages/count_tokens", status_code=200)
async def count_tokens(request: Request[Any, Any, Any], gateway: Gateway) -> Response[Any]:
    """Count the tokens of a message without creating it."""
    refuse_async(request.headers)
    return await gateway.answer(request, ANTHROPIC, "count_tokens")


@get("/anthropic/v1/models")
async def list_models(request: Request[Any, Any, Any], gateway: Gateway) -> Response[bytes]:
    """Every configured provider's models, in pages."""
    refuse_async(request.headers)
    outcome = await gateway.ask(request, ANTHROPIC, "models")
    return _json(model_lists.anthropic_page(outcome.body, request.query_params), outcome.headers)


@get("/anthropic/v1/models/{name:path}")
async def retrieve_model(request: Request[Any, Any, Any], gateway: Gateway, name: str) -> Response[bytes]:
    """One model; its id may hold a slash, raw or percent-encoded."""
    refuse_async(request.headers)
    outcome = await gateway.ask(request, ANTHROPIC, "models")
    return _json(model_lists.one(outcome.body, "anthropic", name.lstrip("/")), outcome.headers)


def _json(body: bytes, headers: dict[str, str]) -> Response[bytes]:
    return Response(body, media_type="application/json", headers=headers)


ROUTES = [greet, messages, count_tokens, list_models, retrieve_model]
