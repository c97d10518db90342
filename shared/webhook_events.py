"""Ends of jobs and batches as events: who is to hear of one, and what is known of it. Pure.

An event's name is OpenAI's where OpenAI has one (`response.completed`), else Bifrost's (`async_job.completed`); it is
called by both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from shared.batch_values import unpack_batch
from shared.batches import Batch, BatchState, named_after
from shared.ids import named, request_id
from shared.job_values import pack
from shared.jobs import Job, State
from shared.lanes import Lane
from shared.queue import arq_record
from shared.webhook_scripts import WEBHOOK
from shared.webhook_settings import WebhookSettings

OWNER = "webhook:"
"""Owner of an endpoint's: this and the endpoint's name."""
JOB, BATCH, TEST = "job", "batch", "test"
"""What an event can be about; the last is sent to try an endpoint out."""
ANY = "*"
"""In the place of the states in which an end is told: any, for the endpoint was asked for by name."""
TEST_NAME = "webhook.test"

_FINAL_JOB = tuple(state.value for state in State if state.final)
_FINAL_BATCH = tuple(state.value for state in BatchState if state.final)
_RESPONSE = {State.SUCCEEDED: "response.completed", State.CANCELLED: "response.cancelled"}
"""Every other state is `response.failed`."""
INCOMPLETE = "response.incomplete"

_unpack_job = msgspec.msgpack.Decoder(Job).decode


class Event(NamedTuple):
    """What has ended.

    Attributes:
        kind: JOB, BATCH or TEST.
        state: in which it ended.
        status: of its outcome; 200 of what has none.
        at_ms: Unix milliseconds of the end.
        asked: the request, or an operator, named the endpoint: it is told whatever its own `events` are.
        job, batch: which one has ended; None for what is not of that kind.
        subject: its UUID.
    """

    kind: str
    state: str
    status: int
    at_ms: int
    asked: bool
    job: Job | None
    batch: Batch | None
    subject: str

    @property
    def id(self) -> str:
        """The same for every endpoint and every try."""
        return named("evt_", self.subject)

    @property
    def names(self) -> tuple[str, str]:
        """Bifrost's and OpenAI's; where one of them has none, both are the other's."""
        if self.job:
            return _job_names(self.job, self.state)
        name = f"batch.{self.state}" if self.batch else TEST_NAME
        return name, name


def read_event(body: bytes) -> Event:
    """The event in the body of the job that delivers it.

    That is `kind state status at_ms wanted`, a newline, and the spec of the job or batch (msgpack), or a test's id.
    """
    facts, _, spec = body.partition(b"\n")
    kind, state, status, at_ms, wanted = facts.decode().split(" ")
    job = _unpack_job(spec) if kind == JOB else None
    batch = unpack_batch(spec) if kind == BATCH else None
    subject = job.id if job else batch.id if batch else spec.decode()
    return Event(kind, state, int(status), int(at_ms), wanted == ANY, job, batch, subject)


def job_hooks(job: Job, endpoints: Iterable[WebhookSettings], asked: str, kept_s: int) -> bytes:
    """Who is to hear of the job's end: those of `endpoints` told of one like it, and the one called `asked`, if any.

    Deliveries are remembered for `kept_s` seconds. Empty when it is nobody.
    """
    wanted = {}
    for endpoint in endpoints:
        told_of = set(endpoint.events)
        wanted[endpoint.name] = ",".join(state for state in _FINAL_JOB if told_of & _possible(job, state))
    return _hooks(job.id, wanted, asked, kept_s)


def batch_hooks(batch: Batch, endpoints: Iterable[WebhookSettings], asked: str, kept_s: int) -> bytes:
    """The same for a batch."""
    wanted = {}
    for endpoint in endpoints:
        wanted[endpoint.name] = ",".join(state for state in _FINAL_BATCH if f"batch.{state}" in endpoint.events)
    return _hooks(batch.id, wanted, asked, kept_s)


def hook(endpoint: str, delivery_id: str, wanted: str, kept_s: int) -> list[Any]:
    """What the Lua of `shared/webhook_scripts.py` makes a job of; it writes the two times.

    `wanted` are the states, with commas, in which an end is told; ANY for all.
    """
    spec = {
        "id": delivery_id,
        "owner": OWNER + endpoint,
        "dialect": "",
        "operation": WEBHOOK,
        "model": endpoint,
        "request_id": request_id(),
        "created_ms": 0,
        "ttl_s": kept_s,
        "deadline_ms": 0,
        "lane": Lane.CHORES,
    }
    return [spec, arq_record(delivery_id, 0).hex(), wanted]


def _hooks(subject: str, wanted: dict[str, str], asked: str, kept_s: int) -> bytes:
    if asked:
        wanted[asked] = ANY
    hooks = [
        hook(name, named_after(subject, f"webhook {name}"), states, kept_s) for name, states in wanted.items() if states
    ]
    return pack(hooks) if hooks else b""


def _possible(job: Job, state: str) -> set[str]:
    names = set(_job_names(job, state))
    return names | {INCOMPLETE} if _RESPONSE[State.SUCCEEDED] in names else names


def _job_names(job: Job, state: str) -> tuple[str, str]:
    succeeded = state == State.SUCCEEDED
    name = "async_job.completed" if succeeded else "async_job.failed"
    if (job.dialect, job.operation) != ("openai_responses", "chat"):
        return name, name
    return name, _RESPONSE.get(State(state), "response.failed")
