"""A job: the durable record of one request, its states, its attempts and its outcome.

                     claim               succeed
        ┌─────────┐ ───────▶ ┌─────────┐ ───────▶ succeeded
        │ queued  │          │ running │ ───────▶ failed        (fail)
        └─────────┘ ◀─────── └─────────┘ ───────▶ cancelled     (cancel)
          │     │    retry,        │
   cancel │     │ expire           │ expire
          ▼     ▼  hand_back, lose ▼
    cancelled  expired           expired

Running goes back to queued when the policy says "again" (retry), when its worker leaves (hand_back) or when its lease
runs out (lose). The four states on the right are final.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from shared.cache import CachePlan
from shared.chat import Usage
from shared.failures import Failure
from shared.lanes import Lane


class State(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Nothing follows."""
        return self not in {State.QUEUED, State.RUNNING}


TRANSITIONS: dict[tuple[State, str], State] = {
    (State.QUEUED, "claim"): State.RUNNING,
    (State.QUEUED, "cancel"): State.CANCELLED,
    (State.QUEUED, "expire"): State.EXPIRED,
    (State.RUNNING, "succeed"): State.SUCCEEDED,
    (State.RUNNING, "fail"): State.FAILED,
    (State.RUNNING, "cancel"): State.CANCELLED,
    (State.RUNNING, "expire"): State.EXPIRED,
    (State.RUNNING, "retry"): State.QUEUED,
    (State.RUNNING, "hand_back"): State.QUEUED,
    (State.RUNNING, "lose"): State.QUEUED,
}
"""Every legal step. The Lua of `queue_scripts`, `claim_script` and `lease_scripts` walks no other."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, by whom, and how the client waits. Written once, at submit; the body lies beside it.

    Attributes:
        id: UUID; also arq's job id.
        owner: `anonymous`, or the hash of the virtual key that submitted it.
        dialect: name of the client's dialect.
        operation: `chat`, `count_tokens`, `embeddings` or `models`; of the gateway's own jobs a step of a batch
            (`shared/batches.py`) or `webhook`.
        model: as the client wrote it.
        fallbacks: `provider/model` strings to try when the first target fails.
        stream: the client follows the events instead of waiting for the outcome.
        headers: inbound headers that may travel upstream, names in lower case. Never a credential of the client.
        request_id: sent to the client and found in logs.
        ttl_s: seconds the outcome is kept, counted from completion.
        deadline_ms: Unix milliseconds after which nobody wants the answer: a queued job then expires.
        created_ms: Unix milliseconds.
        key: name or id of the provider key to use (`x-bf-api-key`); empty for any.
        session: requests of one go to the same provider key (`x-bf-session-id`); empty for none.
        body_blob: the body is a blob, see `shared/bodies.py`; else it lies in the record.
        store: the body is kept as long as the outcome, for the client may ask for both again.
        trace: `traceparent` of the request, of which the job's spans are children; empty for none.
        cache: how it uses the response cache; None for not at all.
    """

    id: str
    owner: str
    dialect: str
    operation: str
    model: str
    request_id: str
    created_ms: int
    ttl_s: int
    deadline_ms: int
    lane: Lane = Lane.INTERACTIVE
    fallbacks: tuple[str, ...] = ()
    stream: bool = False
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body_blob: bool = False
    store: bool = False
    key: str = ""
    session: str = ""
    trace: str = ""
    cache: CachePlan | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at the provider, counted from 1.

    Attributes:
        target: `provider/model`.
        key: name of the provider key used, never its value.
        failure: why it failed, None when it succeeded.
        then: what the policy decided after a failure: `retry`, `wait` (the same again, not counted), `next_key`,
            `fallback` or `fail`.
    """

    number: int
    target: str
    key: str
    started_ms: int
    ended_ms: int
    failure: Failure | None = None
    then: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a job ended with: exactly what the plain request is answered with.

    Attributes:
        status: HTTP status for the client.
        headers: response headers the gateway adds (who served it, what was dropped).
        body: bytes in the client's dialect. A stream's bytes lie in its event stream; its outcome has the whole
            answer only in a dialect that lets clients read it later.
        usage: None when the provider reported none.
        blob: key of the blob that holds the body, see `shared/bodies.py`; empty when it is in `body`.
        cost: nano-US-dollars; None when it is not known.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    usage: Usage | None = None
    blob: str = ""
    cost: int | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A job as whoever waits for it sees it, at one instant; `Standing` is what its owner sees.

    Attributes:
        outcome: set in a final state.
        ended_ms: Unix milliseconds of the end, None before.
    """

    job: Job
    state: State
    outcome: Outcome | None = None
    ended_ms: int | None = None


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """What a worker tells the API processes that wait for a job, over Redis pub/sub.

    Attributes:
        job_id: whose.
        seq: 0 when the job is done, else the number of this piece of its event stream, from 1 without a gap.
        data: the piece's SSE bytes.
        outcome: set with seq 0.
        state: set with seq 0.
    """

    job_id: str
    seq: int
    data: bytes = b""
    outcome: Outcome | None = None
    state: State | None = None
