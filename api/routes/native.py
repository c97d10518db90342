"""What Bifrost's own surface has besides OpenAI's routes: prefixed model names, and jobs by their own URLs."""

from __future__ import annotations

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api import model_lists
from api.answers import async_status, read
from api.async_jobs import job_object
from api.headers import refuse_async, wishes
from api.submit import AnyRequest, Gateway
from shared.bifrost_jobs import ASYNC_PATHS
from shared.dialects import DIALECTS
from shared.dialects.base import Dialect
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.errors import InvalidRequest, NotAuthenticated
from shared.jobs import Snapshot
from shared.queue import no_such_job

ASYNC: dict[str, tuple[Dialect, str]] = {
    path: (DIALECTS[dialect], operation) for (dialect, operation), path in ASYNC_PATHS.items()
}
"""What can be submitted, as which operation of which dialect."""


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The handlers below `/v1` that OpenAI's surface has not, or not so."""

    @get("/v1/models")
    async def list_models(request: AnyRequest) -> ASGIApp:
        """Every configured provider's models, each with its provider's name before it."""
        refuse_async(request.headers)
        outcome = await gateway.ask(request, OPENAI_CHAT, "models")
        return read(OPENAI_CHAT, model_lists.prefixed_list(outcome.body), outcome.headers)

    @get("/v1/models/{name:path}")
    async def retrieve_model(request: AnyRequest, name: str) -> ASGIApp:
        """One model, by its prefixed id, raw or percent-encoded."""
        refuse_async(request.headers)
        outcome = await gateway.ask(request, OPENAI_CHAT, "models")
        return read(OPENAI_CHAT, model_lists.one(outcome.body, "", name.lstrip("/")), outcome.headers)

    @post(list(ASYNC), status_code=202)
    async def submit(request: AnyRequest) -> ASGIApp:
        """Submit a job; the answer is 202 when the client does not wait, even where it joins one that has ended."""
        dialect, operation = ASYNC[request.url.path]
        try:
            snapshot = await gateway.submit(request, dialect, operation)
        except NotAuthenticated as error:
            raise InvalidRequest(error.message, code=error.code) from error  # as Bifrost's own tests expect
        waited = wishes(dict(request.headers), gateway.settings.client).wait_s
        return _shown(dialect, snapshot, ended=snapshot.state.final and waited > 0)

    @get([f"{path}/{{job_id:str}}" for path in ASYNC])
    async def show(request: AnyRequest, job_id: str) -> ASGIApp:
        """The job as it stands, after the time the client wants to wait."""
        dialect, operation = ASYNC[request.url.path.rpartition("/")[0]]
        headers = dict(request.headers)
        wish = wishes(headers, gateway.settings.client)
        try:
            owner = gateway.door.caller(headers).owner
        except NotAuthenticated as error:
            raise no_such_job() from error  # as Bifrost's own tests expect
        snapshot = await gateway.look(job_id, dialect, operation, owner, wish.wait_s)
        return _shown(dialect, snapshot, ended=snapshot.state.final)

    return [list_models, retrieve_model, submit, show]


def _shown(dialect: Dialect, snapshot: Snapshot, *, ended: bool) -> ASGIApp:
    """202, or 200 where the client asked how the job ended, however it has."""
    headers = {"x-bf-job-id": snapshot.job.id, **async_status(snapshot.state)}
    return read(dialect, job_object(dialect, snapshot), headers, status=200 if ended else 202)
