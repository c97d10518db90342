"""OpenAI's Responses: created, read again, resumed, cancelled, deleted."""

from __future__ import annotations

import contextlib

from litestar import delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.answers import read
from api.headers import refuse_async
from api.routes.openai import paths
from api.stored import Kept
from api.submit import AnyRequest, Gateway
from shared.dialects.openai_responses import OPENAI_RESPONSES, resource, states
from shared.dialects.openai_responses.stream import After
from shared.errors import InvalidRequest


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The handlers of `/responses` below every OpenAI base URL."""

    @post(paths("/responses"), status_code=200)
    async def create(request: AnyRequest) -> ASGIApp:
        """Create a response: plain, streamed, in the background or as a job."""
        return await gateway.answer(request, OPENAI_RESPONSES)

    @post(paths("/responses/input_tokens"), status_code=200)
    async def count_tokens(request: AnyRequest) -> ASGIApp:
        """Count the tokens of a request without creating a response."""
        refuse_async(request.headers)
        return await gateway.answer(request, OPENAI_RESPONSES, "count_tokens")

    @get(paths("/responses/{name:str}"))
    async def retrieve(request: AnyRequest, name: str) -> ASGIApp:
        """A response as it stands, or its stream after the event the client saw last."""
        owner, after = _owner(gateway, request), _starting_after(request)
        if after is not None:
            return await _resume(gateway, name, owner, after)
        return _shown(await gateway.stored.find(name, owner))

    @post(paths("/responses/{name:str}/cancel"), status_code=200)
    async def cancel(request: AnyRequest, name: str) -> ASGIApp:
        """Cancel a response; a finished one stays what it is. The answer is the response."""
        owner = _owner(gateway, request)
        await gateway.stored.cancel(name, owner)
        return _shown(await gateway.stored.find(name, owner))

    @delete(paths("/responses/{name:str}"), status_code=200)
    async def remove(request: AnyRequest, name: str) -> ASGIApp:
        """Forget a response."""
        await gateway.stored.delete(name, _owner(gateway, request))
        return read(OPENAI_RESPONSES, states.deleted(name), {})

    @get(paths("/responses/{name:str}/input_items"))
    async def list_input_items(request: AnyRequest, name: str) -> ASGIApp:
        """What the response was asked, the conversation before it included, in pages."""
        kept = await gateway.stored.find(name, _owner(gateway, request))
        return read(OPENAI_RESPONSES, resource.input_items(kept.request, request.query_params), {})

    return [create, count_tokens, retrieve, cancel, remove, list_input_items]


async def _resume(gateway: Gateway, name: str, owner: str, after: int) -> ASGIApp:
    with contextlib.ExitStack() as stack:
        job = await gateway.stored.stream(name, owner)
        waiter = stack.enter_context(gateway.hub.waiting(job.id, job.owner))
        waiter.miss()
        return await gateway.follower.answer(job, waiter, stack, After(after))


def _starting_after(request: AnyRequest) -> int | None:
    """The number of the event the client saw last, -1 for none; None when it does not ask for the stream."""
    if request.query_params.get("stream", "false").lower() not in {"true", "1"}:
        return None
    text = request.query_params.get("starting_after", "-1")
    try:
        return int(text[:18])
    except ValueError:
        message = f"starting_after: expected a sequence number, got {text[:40]!r}."
        raise InvalidRequest(message, param="starting_after") from None


def _owner(gateway: Gateway, request: AnyRequest) -> str:
    refuse_async(request.headers)
    return gateway.door.caller(dict(request.headers)).owner


def _shown(kept: Kept) -> ASGIApp:
    body = states.shown(kept.job, kept.state, kept.request, kept.outcome)
    return read(OPENAI_RESPONSES, body, {"x-bf-job-id": kept.job.id})
