"""Submitting, cancelling and watching jobs: the client's half of the queue. Workers hold the other, `leases.py`.

Keys (one Redis, not Redis Cluster: arq's key names carry no hash tag), besides those of `shared/lanes.py`:

    hermod:job:<id>     hash: spec body state attempts outcome waiters detached store lane owner weight cap deadline
                        crashes cancel hurry ended_by why hooks hit; Unix ms of the first claim, of when it came due
                        again, and of the end: started due ended; what its first claim reserves on its caller's
                        meters, the worker that did, and which meters have counted what: reserves holder
                        asked:<id>:<meter>
    hermod:owned:<owner>  sorted set of the owner's detached jobs, for listing them; score = Unix ms of creation
    hermod:recent       sorted set of all owners' newest detached jobs, for operators; score = Unix ms of creation
    hermod:failures     the same of the jobs that last failed or expired, detached or not; score = Unix ms of the end
    hermod:events:<id>  stream: the SSE pieces of a streamed answer, ids 1-0, 2-0, …
    hermod:workers      sorted set of worker processes; score = Unix ms until which each counts as alive
    hermod:cancels      channel: ids of running jobs to cancel
    arq:queue           every unfinished job, so that arq's Job API reads our queue
    arq:job:<id>        arq's own record: function and arguments
    arq:in-progress:<id>  the running worker's fence, see `worker/leases.py`
    hermod:same:<d>, hermod:idem:<d>  which job an identical or same-keyed request became
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from shared.answer_store import AnswerStore
from shared.errors import Cancelled, GatewayError, LimitExceeded, NotFound
from shared.governance_meters import Limits, refusal
from shared.ids import digest, now_ms
from shared.job_values import JobValues, Told, notice, pack, unpack_job
from shared.jobs import Job, Notice, Outcome, Snapshot, State
from shared.lanes import Lane
from shared.metrics import job_ended
from shared.queue_scripts import CANCEL, FORGET, LOOK, SUBMIT
from shared.repeats import CONFLICT, conflict, name_of
from shared.stores.redis import RedisStore

CANCELS = "hermod:cancels"
JOB = "hermod:job:"
EVENTS = "hermod:events:"
WORKERS = "hermod:workers"

FULL_RETRY_S = 2.0
"""`retry-after` when an owner's queue is full: short enough for an SDK to wait, long enough to spare the gateway."""

_unpack_headers = msgspec.msgpack.Decoder(dict[str, str]).decode


class Share(msgspec.Struct, frozen=True):
    """What an owner may have of the gateway.

    Attributes:
        weight: turns it gets in line for one of an owner with weight 1.
        max_running: jobs running at once, over all workers; 0 for no limit.
        max_unfinished: jobs queued, deferred or running; one more is a 429.
        limits: the meters of its budgets and rate limits; None for none.
    """

    weight: float = 1.0
    max_running: int = 0
    max_unfinished: int = 100_000
    limits: Limits | None = None


DEFAULT_SHARE = Share()


class Submission(NamedTuple):
    """Which job a request became; `new` is False when it joined an earlier one, or became none.

    `cached` is what the response cache had, packed; None for nothing.
    """

    job_id: str
    new: bool
    cached: bytes | None = None


def no_such_job() -> NotFound:
    """One message, whether a job is unknown, expired or another's: ids of others cannot be tried out."""
    return NotFound("No such job: unknown, expired, or not yours.", code="job_not_found")


def _digest(job: Job, body: bytes) -> str:
    """By which a request is told from others."""
    return digest(job.owner.encode(), job.dialect.encode(), job.operation.encode(), body)


def _refusal(verdict: bytes, why: list[int], share: Share) -> GatewayError | None:
    """Why a request became no job; None when it became one."""
    if verdict == b"refused" and share.limits:
        index, spent, wait_ms = why
        return refusal(share.limits.meters[index - 1], wait_ms, spent=bool(spent))
    if verdict == CONFLICT:
        return conflict("request")
    if verdict == b"full":
        return LimitExceeded(
            f"{share.max_unfinished} jobs of this key are unfinished; wait for some to end.",
            code="queue_full",
            retry_after_s=FULL_RETRY_S,
        )
    return None


def _cached_as(job: Job) -> str:
    """Id of the answer that would do instead of the job; empty when the job itself is needed."""
    plan = job.cache
    needed = plan is None or not plan.direct or job.store or job.lane is not Lane.INTERACTIVE
    return "" if plan is None or needed else plan.id


def arq_record(job_id: str, created_ms: int) -> bytes:
    """What arq keeps about a job: call `run_job` with its id."""
    return pack({"t": None, "f": "run_job", "a": [job_id], "k": {}, "et": created_ms})


def cancelled_outcome() -> Outcome:
    """What a cancelled job ends with; its body is rendered where it is read, see `api/answers.py`."""
    return Outcome(status=Cancelled.status)


class Queue:
    """The client's half of the queue."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._values = JobValues(store.seal)
        self._answers = AnswerStore(store)

    async def submit(  # noqa: PLR0913 - facts, all by keyword
        self,
        job: Job,
        body: bytes,
        *,
        waiter: str,
        detached: bool = False,
        look_for_same: bool = False,
        idempotency_key: str = "",
        share: Share = DEFAULT_SHARE,
        hooks: bytes = b"",
        reserves: bytes = b"",
    ) -> Submission:
        """Write the record and make it due: one atomic step, one round trip.

        `waiter` is the channel told about the outcome, empty for none. A `detached` job goes on when nobody waits.
        `look_for_same` joins a job with the same owner, dialect, operation and body of the last ten minutes.
        `body` is the real one even when it has been saved as a blob: requests are told apart by it. `hooks` says who is
        to hear of the end, see `shared/webhook_events.py`; empty for nobody. `reserves` is what its first claim
        reserves, see `shared/governance_estimates.py`; empty for nothing. A job whose answer the response cache has
        does not come to be, unless it may be asked for again.

        Raises:
            Conflict: the idempotency key was used with another body within 24 hours.
            LimitExceeded: the owner has too many unfinished jobs, or its rate limit is used up and its client waits.
            BudgetExceeded: a budget of the owner is used up.
            StoreError: nothing can be said about acceptance; a retry with the same headers is safe.
        """
        words = (
            *(job.id, self._values.spec(job), b"" if job.body_blob else self._values.request(job, body)),
            *(arq_record(job.id, job.created_ms), waiter),
            *(_digest(job, body), int(look_for_same), name_of(job.owner, idempotency_key)),
            *(int(detached), int(job.store), job.lane, job.owner),
            *(share.weight, share.max_running, share.max_unfinished),
            *(job.deadline_ms, job.created_ms),
            *(share.limits.packed if share.limits else b"", hooks, _cached_as(job), reserves),
        )
        verdict, job_id, *why = await self._store.run(SUBMIT, *words)
        while verdict == b"cached" and job.cache:
            if cached := await self._answers.opened(job.cache, why[0]):
                return Submission(job.id, new=False, cached=cached)
            verdict, job_id, *why = await self._store.run(SUBMIT, *words)
        if refused := _refusal(verdict, why, share):
            raise refused
        return Submission(job_id.decode(), verdict == b"new")

    async def cancel(self, job: Job, leaving: str = "") -> None:
        """Cancel: a queued job at once, a running one as soon as its worker hears of it; a finished one stays.

        With `leaving`, the channel of a client that went away, only when nobody else waits and the job is not
        detached.
        """
        outcome = cancelled_outcome()
        stored = self._values.outcome(job.owner, job.id, outcome)
        written = (stored, notice(job.id, 0, stored, State.CANCELLED), job.ttl_s, leaving, outcome.status)
        if await self._store.run(CANCEL, job.id, *written) == b"ended":
            job_ended(job, State.CANCELLED)

    async def look(self, job_id: str, waiter: str = "") -> Snapshot:
        """The job as it stands; an unfinished one tells `waiter` when it ends.

        Raises:
            NotFound: unknown or expired.
            GatewayError: its outcome cannot be read.
        """
        spec, state, outcome, _, ended = await self._store.run(LOOK, job_id, waiter)
        if spec is None:
            raise no_such_job()
        job = unpack_job(spec)
        return Snapshot(
            job=job,
            state=State(state.decode()),
            outcome=self._values.read_outcome(job, outcome),
            ended_ms=int(ended) if ended else None,
        )

    async def events(self, owner: str, job_id: str, after: int = 0) -> list[tuple[int, bytes]]:
        """Pieces of the event stream of the owner's job with a number above `after`, as (number, SSE bytes).

        Raises GatewayError when they cannot be read: as another's, for instance.
        """
        entries = await self._store.call("XRANGE", EVENTS + job_id, f"({after}-0" if after else "-", "+")
        return self._values.read_pieces(owner, job_id, entries)

    def read_notice(self, owner: str, told: Told) -> Notice:
        """What a worker told those who wait for the owner's job. Raises GatewayError when it cannot be read."""
        return self._values.read_notice(owner, told)

    async def request(self, job: Job) -> bytes:
        """The body of a request as the job's record holds it: empty when it is a blob, or not kept beyond the end."""
        return self._values.read_request(job, await self._store.call("HGET", JOB + job.id, "body") or b"")

    def headers(self, job: Job) -> dict[str, str]:
        """The forwarded headers of a job as a look found it. Raises GatewayError when they cannot be read."""
        return self._values.read_headers(job)

    async def served_from_cache(self, job: Job) -> dict[str, str]:
        """The headers of a streamed answer that the response cache gave, once it has begun; none for another."""
        packed = await self._store.call("HGET", JOB + job.id, "hit")
        return _unpack_headers(packed) if packed else {}

    async def forget(self, job: Job) -> bool:
        """Delete a finished job's record, with request, answer and event stream; False when it has not finished."""
        return bool(await self._store.run(FORGET, job.id, job.owner))

    async def workers(self) -> int:
        """Worker processes that were alive within their last lease."""
        return int(await self._store.call("ZCOUNT", WORKERS, now_ms(), "+inf"))
