"""The playground: a message to any model, as an async job that is followed live."""

from __future__ import annotations

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.admin_door import read_form
from api.answers import streamed
from api.console import rerun
from api.console.desk import OPERATOR, Desk
from api.console.render import HOME, page, see_other
from api.job_events import job_events, read_cursor
from api.submit import ASYNC_DEADLINE_S, AnyRequest
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import InvalidRequest
from shared.ids import job_id, now_ms, request_id
from shared.job_index import Standing
from shared.jobs import Job
from shared.lanes import Lane
from shared.models import split_model
from shared.queue import DEFAULT_SHARE
from shared.traces import current

TTL_S = 3600
ASKED_BEFORE = 10
MOST_TOKENS = 100_000
SUGGESTED = {"anthropic": "claude-haiku-5-5", "openai": "gpt-4o-mini", "gemini": "gemini-2.5-flash"}

_encode = msgspec.json.Encoder().encode


def routes(desk: Desk) -> list[HTTPRouteHandler]:
    """The pages."""

    @get("/playground")
    async def playground(request: AnyRequest) -> ASGIApp:
        """The form, and what was asked before; with `job`, that one as it happens."""
        followed = request.query_params.get("job", "")
        return page(
            request,
            "playground.html",
            models=_models(desk),
            rows=await desk.index.owned(OPERATOR, after=None, state=None, count=ASKED_BEFORE),
            followed=(await _ours(desk, followed)).job if followed else None,
        )

    @post("/playground")
    async def ask(request: AnyRequest) -> ASGIApp:
        """Submit a message."""
        fields = await read_form(request)
        job, body = _job(desk, fields)
        return see_other(f"{HOME}/playground?job={await rerun.submit(desk, job, body, DEFAULT_SHARE)}")

    @get("/playground/{job_id:str}/events")
    async def follow(request: AnyRequest, job_id: str) -> ASGIApp:
        """The job as it happens, and its answer; resumable by `Last-Event-ID`."""
        standing = await _ours(desk, job_id)
        cursor = read_cursor(request.headers.get("last-event-id"))
        return streamed(OPENAI_CHAT, standing.job, job_events(desk.gateway, desk.index, standing, cursor))

    return [playground, ask, follow]


async def _ours(desk: Desk, shown: str) -> Standing:
    """A job of the playground's own: what others were answered is not shown here. Raises NotFound."""
    return await desk.index.stand(shown, OPERATOR)


def _models(desk: Desk) -> list[str]:
    return [f"{name}/{SUGGESTED.get(name, '')}" for name in desk.settings.providers]


def _job(desk: Desk, fields: dict[str, str]) -> tuple[Job, bytes]:
    """The job, and its body in OpenAI's dialect. Raises InvalidRequest."""
    model, message, system = (fields.get(name, "").strip() for name in ("model", "message", "system"))
    tokens = fields.get("max_tokens", "")
    if not message:
        raise InvalidRequest("message: nothing was written.", param="message")
    if not (tokens.isascii() and tokens.isdigit() and 0 < int(tokens[:9]) <= MOST_TOKENS):
        raise InvalidRequest(f"max_tokens: expected a whole number from 1 to {MOST_TOKENS:,}.", param="max_tokens")
    split_model(model, desk.settings.providers, OPENAI_CHAT.default_provider)
    messages = [{"role": "system", "content": system}] if system else []
    body = {
        "model": model,
        "messages": [*messages, {"role": "user", "content": message}],
        "max_tokens": int(tokens),
        "stream": True,
    }
    now = now_ms()
    job = Job(
        id=job_id(),
        owner=OPERATOR,
        dialect=OPENAI_CHAT.name,
        operation="chat",
        model=model,
        stream=True,
        request_id=request_id(),
        created_ms=now,
        ttl_s=TTL_S,
        deadline_ms=now + ASYNC_DEADLINE_S * 1000,
        lane=Lane.ASYNC,
        store=True,
        trace=current(),
    )
    return job, _encode(body)
