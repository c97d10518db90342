"""The OpenAI surface: `/openai/…`, each route with and without `/v1`, for the SDK adds none; and below `/v1` alone."""

from __future__ import annotations

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import model_lists
from api.answers import read
from api.headers import refuse_async
from api.submit import AnyRequest, Gateway
from shared.dialects.openai_chat import OPENAI_CHAT

BASES = ("/openai", "/openai/v1")
NATIVE = "/v1"
"""Bifrost's own surface: OpenAI's, with the provider in the model's name."""


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The surface's handlers."""

    @post(paths("/chat/completions"), status_code=200)
    async def chat_completions(request: AnyRequest) -> ASGIApp:
        """Create a chat completion: plain, streamed or as a job."""
        return await gateway.answer(request, OPENAI_CHAT)

    @post(paths("/embeddings"), status_code=200)
    async def embeddings(request: AnyRequest) -> ASGIApp:
        """Create embeddings: plain or as a job."""
        return await gateway.answer(request, OPENAI_CHAT, "embeddings")

    @get([base + "/models" for base in BASES])
    async def list_models(request: AnyRequest) -> ASGIApp:
        """Every configured provider's models."""
        refuse_async(request.headers)
        outcome = await gateway.ask(request, OPENAI_CHAT, "models")
        return read(OPENAI_CHAT, model_lists.openai_list(outcome.body), outcome.headers)

    @get([base + "/models/{name:path}" for base in BASES])
    async def retrieve_model(request: AnyRequest, name: str) -> ASGIApp:
        """One model; its id may hold a slash, raw or percent-encoded."""
        refuse_async(request.headers)
        outcome = await gateway.ask(request, OPENAI_CHAT, "models")
        return read(OPENAI_CHAT, model_lists.one(outcome.body, "openai", name.lstrip("/")), outcome.headers)

    return [chat_completions, embeddings, list_models, retrieve_model]


def paths(path: str) -> list[str]:
    """The URLs of what every OpenAI-shaped surface serves."""
    return [base + path for base in (*BASES, NATIVE)]
