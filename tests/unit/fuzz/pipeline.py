"""A request's whole way through product code, without a socket and without Redis.

The one place that calls product code: what the API process does with a body, what a worker does with the job, and what
the API process makes of its outcome. The provider and the records are stood in for; nothing else is.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import httpx
from msgspec import structs

from api import answers, async_jobs, model_lists
from api.headers import forwarded, wishes
from api.submit import _job
from deploy.simulator.http import Request
from deploy.simulator.knobs import Knobs
from deploy.simulator.simulator import Simulator
from shared.bodies import Bodies
from shared.dialects import DIALECTS
from shared.dialects.base import Head
from shared.dialects.openai_responses import history, resource, states
from shared.job_values import JobValues, pack, unpack_told
from shared.jobs import Job, Outcome, Snapshot, State
from shared.models import split_model
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.queue import arq_record
from shared.sealing import CLEAR
from shared.settings import ClientSettings, Settings
from shared.stores.memory import MemoryBlobs
from worker.executor import Executor
from worker.lease import Lease
from worker.lease_scripts import APPEND, FINISH
from worker.routing import Router
from worker.tasks import run_job
from worker.transport import Transport

PROVIDERS = ("anthropic", "openai", "mistral", "gemini")
"""One of each wire that has server-sent events, and one that refuses fields it does not know."""
LONGEST_S = 1.0
"""Of the processor's time, for the machine may be busy."""
NEVER_LARGE = 1 << 40

Found = TypeVar("Found")
Handler = Callable[[httpx.Request], httpx.Response]

_CLIENT = ClientSettings()
_NETWORK = NetworkSettings(base_url="http://provider.test/v1", max_retries=0)
_BASE_URLS = {"anthropic": "http://provider.test", "gemini": "http://provider.test/gemini/v1beta"}


def _provider(name: str) -> ProviderSettings:
    network = structs.replace(_NETWORK, base_url=_BASE_URLS.get(name, _NETWORK.base_url))
    return ProviderSettings(name=name, keys=(ProviderKey(name="main", value="k"),), network=network)


_SETTINGS = Settings(client=_CLIENT, providers={name: _provider(name) for name in PROVIDERS})


class Ended(NamedTuple):
    """How a job ended; `pieces` are its event stream."""

    state: State
    outcome: Outcome
    pieces: list[bytes]


class Records:
    """What a lease writes about its job; stands for Redis."""

    seal = CLEAR

    def __init__(self, job: Job) -> None:
        self._job, self._values = job, JobValues(self.seal)
        self._pieces: list[bytes] = []
        self.ended: list[Ended] = []

    async def run(self, script: Any, _job_id: str, _fence: bytes, *written: Any) -> int:
        if script is APPEND:
            number, data, notice = written
            assert self._values.read_notice(self._job.owner, unpack_told(notice)).seq == number == len(self._pieces) + 1
            self._pieces.append(data)
        elif script is FINISH:
            outcome = self._values.read_outcome(self._job, written[1])
            assert outcome == self._values.read_notice(self._job.owner, unpack_told(written[4])).outcome
            self.ended.append(Ended(written[0], outcome, self._pieces))
            self._values.read_attempts(self._job, written[2])
        else:
            raise AssertionError("nothing is tried again here")
        return 1

    async def call(self, command: str, *_: Any) -> list[tuple[bytes, list[bytes]]]:
        assert command == "XREVRANGE"
        return [(b"%d-0" % len(self._pieces), [b"data", self._pieces[-1]])] if self._pieces else []


class Way:
    """The way of requests to providers that answer as `handler` says."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._run = runner.run
        self._bodies = Bodies(MemoryBlobs(), NEVER_LARGE)

    def take(self, name: str, operation: str, body: bytes, headers: Mapping[str, str]) -> Job:
        """The job that the API process makes of a body.

        Raises:
            CallerError: it is refused.
        """
        return within_bounds(lambda: _taken(name, operation, body, dict(headers)))

    def work(self, job: Job, provider: str, body: bytes, handler: Handler) -> Ended:
        """How the job ends when it is for `provider`."""
        model = split_model(job.model, PROVIDERS, "anthropic")[1]
        # No time is left, so that nothing is waited for.
        job = structs.replace(job, model=f"{provider}/{model}", fallbacks=(), deadline_ms=0)
        return within_bounds(lambda: self._run(self._worked(job, body, handler)))

    def list_models(self, handler: Handler) -> tuple[Job, Ended]:
        """The question for all providers' models, and how it ends."""
        job = _job(DIALECTS["anthropic"], "models", "anonymous", wishes({}, _CLIENT), Head(model=""), {})
        return job, within_bounds(lambda: self._run(self._worked(job, b"", handler)))

    async def _worked(self, job: Job, body: bytes, handler: Handler) -> Ended:
        records = Records(job)
        transport = Transport(max_bytes=NEVER_LARGE, http=httpx.MockTransport(handler))
        payload = arq_record(job.id, job.created_ms)
        claimed = [job.id.encode(), b"1", payload, pack(job), body, b"", b"0", b"0", b"0", b"0", b""]
        lease = Lease(records, claimed)  # type: ignore[arg-type] # stands for the store
        lease.read()
        executor = Executor(Router(_SETTINGS), transport)
        await run_job({"lease": lease, "executor": executor, "bodies": self._bodies}, job.id)
        await transport.close()
        assert len(records.ended) == 1
        return records.ended[0]

    def answered(self, job: Job, outcome: Outcome) -> list[dict[str, Any]]:
        """The ASGI messages of a plain answer, of a poll's and of a placeholder."""
        return within_bounds(lambda: self._run(_messages(job, outcome)))

    def looked_up(self, job: Job, body: bytes, ended: Ended) -> list[bytes]:
        """What a client can read later of the job that `body` asked for.

        Raises:
            CallerError: it holds what cannot be read on.
        """
        return within_bounds(lambda: list(_looked_up(job, body, ended)))


def _taken(name: str, operation: str, body: bytes, headers: dict[str, str]) -> Job:
    dialect = DIALECTS[name]
    wish = wishes(headers, _CLIENT)
    head = dialect.read_head(body, operation, headers)
    for model in (head.model, *head.fallbacks):
        split_model(model, PROVIDERS, dialect.default_provider)
    return _job(dialect, operation, "anonymous", wish, head, forwarded(headers, _CLIENT))


async def _messages(job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    dialect, sent = DIALECTS[job.dialect], []

    async def send(message: Any) -> None:
        sent.append(message)

    for response in (
        answers.plain(dialect, job, outcome),
        answers.finished(dialect, job, State.SUCCEEDED if outcome.status < 400 else State.FAILED, outcome),
        answers.pending(dialect, job, State.RUNNING, waited=True),
    ):
        await response({"type": "http"}, None, send)  # type: ignore[arg-type] # all it looks at
    return sent


def _looked_up(job: Job, body: bytes, ended: Ended) -> Iterator[bytes]:
    state, outcome, _ = ended
    if job.operation == "models":
        yield model_lists.anthropic_page(outcome.body, {})
        yield model_lists.openai_list(outcome.body)
        yield model_lists.prefixed_list(outcome.body)
    elif job.dialect != "anthropic" and job.operation != "count_tokens":
        yield async_jobs.job_object(DIALECTS[job.dialect], Snapshot(job=job, state=state, outcome=outcome))
    if job.store:
        yield states.shown(job, state, body, outcome)
        yield resource.input_items(body, {})
    if job.store and state is State.SUCCEEDED:
        yield history.continued(body, body, outcome.body)


def simulated(request: httpx.Request) -> httpx.Response:
    """What the provider simulator answers."""
    asked = Request(
        method=request.method,
        path=request.url.path,
        query=request.url.query.decode(),
        headers=dict(request.headers),
        body=request.content,
    )
    reply = _SIMULATOR.respond(asked)
    lines = [line.split(b": ", 1) for line in reply.headers.split(b"\r\n") if line]
    return httpx.Response(reply.status, headers=lines, content=b"".join(reply.chunks))  # type: ignore[arg-type]


_SIMULATOR = Simulator(Knobs(ledger_size=1))


def within_bounds(step: Callable[[], Found]) -> Found:
    """What `step` returns, if it does so soon; garbage that others left is collected later."""
    gc.disable()
    began = time.thread_time()
    try:
        return step()
    finally:
        took_s = time.thread_time() - began
        gc.enable()
        assert took_s < LONGEST_S, f"it took {took_s:g} s"
