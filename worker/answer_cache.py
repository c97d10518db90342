"""The response cache where jobs run: an answer that is kept instead of a call, and what was answered kept for others.

Whole answers in words are kept, after the client has them: neither errors, nor streams that broke off, nor calls of
tools, nor what a fallback said. A cache that cannot be asked is one that has nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec.structs import replace

from shared.answer_store import AnswerStore
from shared.cache import CachePlan
from shared.cache_settings import CacheSettings
from shared.cached_answer import ID, SERVED, Entry, Hit, canonical, outcome, stream
from shared.errors import StoreError
from shared.job_values import JobValues, pack
from shared.jobs import Job, Outcome
from shared.logs import where
from shared.metrics import CACHE_HITS
from shared.queue import EVENTS, JOB
from shared.stores.redis import RedisStore
from worker.exchange import Asked
from worker.lease import Lease
from worker.meanings import Meanings, Placed
from worker.relay import Pieces
from worker.whole_answers import answer_of, plain_body

log = logging.getLogger("hermod.worker")

Run: TypeAlias = Callable[[Asked], Awaitable[Outcome]]


class AnswerCache:
    """What a worker does for jobs that use the cache. Without `meanings`, only equal requests are found."""

    def __init__(self, store: RedisStore, settings: CacheSettings, meanings: Meanings | None = None) -> None:
        self._store = store
        self._answers = AnswerStore(store)
        self._settings = settings
        self._meanings = meanings
        self._keeping: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until everything is kept that is to be."""
        if self._keeping:
            await asyncio.wait(self._keeping)

    async def answer(self, asked: Asked, plan: CachePlan, run: Run) -> Outcome:
        """The answer that is kept, or else what `run` makes of it. Raises what `run` does, and LeaseLost."""
        # The plan lies in the job's record, where whoever can write could make it another's.
        plan, placed = replace(plan, owner=plan.owner and asked.job.owner), None
        try:
            hit = await self._equal(plan)
            if hit is None and plan.semantic and self._meanings is not None and not asked.attempts:
                placed = await self._meanings.place(asked, plan, run)
                hit = await self._alike(plan, placed) if placed else None
        except StoreError:
            hit = None
        if hit is not None:
            return await self._repeat(asked, hit)
        made = await run(asked)
        if plan.store:
            made.headers[ID] = plan.id
            self._begin_keeping(asked, plan, made, placed)
        return made

    # --- found ----------------------------------------------------------------------------------------

    async def _equal(self, plan: CachePlan) -> Hit | None:
        if not plan.direct:
            return None
        [entry] = await self._answers.get(plan.owner, plan.id)
        return Hit(plan.id, entry) if entry else None

    async def _alike(self, plan: CachePlan, placed: Placed) -> Hit | None:
        """The answer to the nearest request that is near enough and whose answer is still kept."""
        found = [near for near in placed.near if near.similarity >= plan.threshold]
        if not found:
            return None
        entries = await self._answers.get(plan.owner, *(near.id for near in found))
        pairs = zip(found, entries, strict=True)
        return next((Hit(near.id, entry, near.similarity, plan.threshold) for near, entry in pairs if entry), None)

    async def _repeat(self, asked: Asked, hit: Hit) -> Outcome:
        CACHE_HITS.of().value += 1
        if not asked.job.stream or not isinstance(asked, Lease):
            return outcome(hit, asked.job, asked.body)
        events, told = stream(hit, asked.job, asked.body)
        with contextlib.suppress(StoreError):  # the answer is worth more than being told of as a hit
            await self._store.call("HSET", JOB + asked.job.id, "hit", pack(told.headers))
        pieces = Pieces(asked)
        await pieces.write(events)
        await pieces.close()
        return told

    # --- kept -----------------------------------------------------------------------------------------

    def _begin_keeping(self, asked: Asked, plan: CachePlan, made: Outcome, placed: Placed | None) -> None:
        if made.status != 200 or "x-bf-fallback-index" in made.headers:  # noqa: PLR2004 - HTTP: a success
            return
        task = asyncio.create_task(self._keep(asked.job, asked.body, plan, made, placed))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _keep(self, job: Job, body: bytes, plan: CachePlan, made: Outcome, placed: Placed | None) -> None:
        try:
            entry = await self._entry(job, body, plan, made)
            if entry is None or len(entry.body) > self._settings.max_entry_bytes:
                return
            await self._answers.keep(plan, entry, self._settings.max_bytes)
            if placed is not None and self._meanings is not None:
                await self._meanings.keep(plan, placed)
        except StoreError as error:
            log.warning("an answer is not kept in the cache: %s", error, extra={"job_id": job.id})
        except Exception as error:  # noqa: BLE001 - the client has its answer; what is wrong must be heard of
            log.error("keeping an answer failed: %s", where(error), extra={"job_id": job.id})  # noqa: TRY400 - see leases

    async def _entry(self, job: Job, body: bytes, plan: CachePlan, made: Outcome) -> Entry | None:
        headers = {name: made.headers[name] for name in SERVED if name in made.headers}
        if job.operation != "chat":
            return Entry(plan.owner, made.body, headers)
        answer = answer_of(job, made, await self._pieces(job) if job.stream else ())
        if answer is None:
            return None
        shown = plain_body(job, body, canonical(answer)) if job.stream else made.body
        return Entry(plan.owner, shown, headers, answer)

    async def _pieces(self, job: Job) -> list[bytes]:
        """The job's event stream; nothing when its beginning has been cut off."""
        entries = await self._store.call("XRANGE", EVENTS + job.id, "-", "+")
        pieces = JobValues(self._store.seal).read_pieces(job.owner, job.id, entries)
        complete = [number for number, _ in pieces] == list(range(1, len(pieces) + 1))
        return [piece for _, piece in pieces] if complete else []
