"""A group of a batch's items at a provider's batch API: submitted, looked at now and then, its results kept.

What is submitted is noted before and after:

    assembled ─▶ noted ─▶ submitted ─▶ its id noted ─▶ ended ─▶ results kept ─▶ noted
                   └─ no id known: looked up at the provider; only when it is not there, submitted again
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from shared.batches import Batch, BatchState, named_after
from shared.errors import AuthFailed, Garbled, InvalidRequest, NotPermitted, ProviderError, Rejected
from shared.ids import now_ms
from worker.exchange import TryLater
from worker.failpoints import reach
from worker.lease import Lease, LeaseLost
from worker.native_batches.choice import RESERVE_MS
from worker.native_batches.client import Client, Unclear
from worker.native_batches.keeper import Keeper
from worker.native_batches.means import Means
from worker.native_batches.offers import batch_keys, offers, wire_of
from worker.native_batches.records import Group, Part
from worker.native_batches.requests import Requests
from worker.outlast import outlast
from worker.retry import refuses_key
from worker.routing import Target

log = logging.getLogger("hermod.worker")

GIVE_UP_MS = 600_000
"""How long the provider has to end a batch that was cancelled; OpenAI takes up to ten minutes."""
FIRST_S, LONGEST_S = 5.0, 60.0
"""Shortest and longest time between two looks; in between a quarter of the time since it was sent."""
LOCKED_OUT_MS = 600_000
"""For how long `auto` waits for a batch that no key may look at any more: one that is renewed is back by then."""
AGAIN_MS, LONGEST_AGAIN_MS = 60_000, 900_000
"""When a batch is sent again that the provider had no room for: at first, and at most, twice as long each time."""
SETTLED_MS = 60_000
"""When a batch that the provider does not list is taken as never accepted, and one that it does not know as gone."""

Done: TypeAlias = Callable[[Iterable[int]], Awaitable[None]]


class GroupRun:
    """One lease's work on a group; `done` is told of the shards in which it has no more to do, maybe again."""

    def __init__(self, means: Means, lease: Lease, batch: Batch, group: Group, number: int, done: Done) -> None:
        self._means = means
        self._lease = lease
        self._batch = batch
        self._group = group
        self._number = number
        self._done = done
        if group.provider not in offers(means.router, "native"):
            raise InvalidRequest("The provider of a native batch is no longer configured.")
        self._target = means.router.target(group.provider, group.model, only=batch_keys(means.router, group.provider))
        self._refused: set[str] = set()
        self._keeper = Keeper(means, lease, batch, group)
        self._takeover_ms = batch.expires_ms - RESERVE_MS

    async def advance(self) -> None:
        """Do what can be done now. Raises TryLater when something has not ended, LeaseLost, StoreError, BlobMissing."""
        parts = await self._means.noted.parts(self._batch.id, self._number)
        closing = now_ms() >= self._takeover_ms or await self._cancelling() or await self._is_barred()
        for number, part in enumerate(parts):
            if not part.ended:
                parts[number] = await self._advance_part(number, part, closing)
        while not closing and (begun := await self._begin_part(parts)):
            parts.append(begun)
        if closing:
            await self._done(range(parts[-1].until if parts else 0, self._batch.shards))
        if running := [part for part in parts if not part.ended]:
            raise TryLater(self._delay_s(running))

    async def _cancelling(self) -> bool:
        state = await self._means.records.state(self._lease.id, self._lease.fence, self._batch.id)
        if state == "lost":
            raise LeaseLost(self._lease.id)
        return state == BatchState.CANCELLING

    async def _is_barred(self) -> bool:
        """Whether the owner may ask for nothing any more: what the provider has not done, the shards refuse."""
        try:
            await self._means.executor.grant(replace(self._lease.job, owner=self._batch.owner))
        except NotPermitted:
            return True
        return False

    def _delay_s(self, running: list[Part]) -> float:
        now = now_ms()
        if any(part.closed_ms for part in running):
            return FIRST_S
        waited_s = (now - min(part.intended_ms for part in running)) / 1000
        left_s = (self._takeover_ms - now) / 1000
        return max(min(waited_s / 4, LONGEST_S, left_s), min(FIRST_S, max(left_s, 0.05)))

    # --- submitting -----------------------------------------------------------------------------------

    async def _begin_part(self, parts: list[Part]) -> Part | None:
        """Submit what comes after `parts`; None when there is nothing more."""
        first = parts[-1].until if parts else 0
        if first == self._batch.shards:
            return None
        requests = await self._requests(self._mark(len(parts)), first).fill()
        now, total = now_ms(), len(requests.lines)
        key = self._target.key.name
        part = Part(first=first, until=requests.until, key=key, total=total, intended_ms=now, sent_ms=now)
        return await self._submit(len(parts), part, requests)

    def _requests(self, mark: str, first: int) -> Requests:
        return Requests(self._means, self._batch, self._group, self._target, mark, first)

    async def _submit(self, number: int, part: Part, requests: Requests) -> Part:
        if not requests.lines:
            return await self._end(number, part)
        await self._note(number, part)
        try:
            mark = self._mark(number, part.refusals)
            seen = await self._client(part).submit(requests.lines, requests.path, mark)
        except ProviderError as error:
            if refuses_key(error):
                requests.lines.clear()  # written anew, and not held twice
                return await self._submit_with_another_key(number, part, error)
            if isinstance(error, Rejected) or error.should_retry is False:
                return await self._refuse(number, part, error)
            return part
        reach("answered")
        return await self._note(number, replace(part, provider_id=seen.id))

    async def _submit_with_another_key(self, number: int, part: Part, error: ProviderError) -> Part:
        """After its key was refused, by which nothing was accepted: so that with the next it cannot come twice.

        Until the next one is noted, only the refused one is asked for the batch.
        """
        log.info("a native batch: key %s is refused", part.key, extra={"job_id": self._lease.id})
        self._refused.add(part.key)
        left = [key for key in self._all_keys() if key not in self._refused]
        if not left:
            return await self._refuse(number, part, error)
        return await self._submit_again(number, replace(part, key=left[0], sent_ms=now_ms()))

    async def _find(self, number: int, part: Part) -> Part:
        """The part whose acceptance was not heard of: with its id when the provider has it, else sent again."""
        try:
            mark = self._mark(number, part.refusals)
            found = await self._client(part).find(mark, part.intended_ms / 1000, part.total)
        except Unclear:
            return part
        if found:
            return await self._note(number, replace(part, provider_id=found))
        if now_ms() < part.sent_ms + SETTLED_MS:
            return part
        if part.closed_ms:
            return await self._end(number, part)
        return await self._submit_again(number, replace(part, sent_ms=now_ms()))

    async def _submit_again(self, number: int, part: Part) -> Part:
        self._use(part.key)
        requests = await self._requests(self._mark(number, part.refusals), part.first).repeat(part.until)
        return await self._submit(number, replace(part, total=len(requests.lines)), requests)

    async def _put_off(self, number: int, part: Part) -> Part:
        """The provider has no room for it now. What is sent later has another mark, not to be taken for this one."""
        delay_ms = min(AGAIN_MS << min(part.refusals, 8), LONGEST_AGAIN_MS)
        later = replace(part, provider_id="", again_ms=now_ms() + delay_ms, refusals=part.refusals + 1)
        return await self._note(number, later)

    async def _retry(self, number: int, part: Part) -> Part:
        """What was put off, once it is due; its shards run it when it is too late."""
        if part.closed_ms:
            return await self._end(number, part)
        if (now := now_ms()) < part.again_ms:
            return part
        return await self._submit_again(number, replace(part, intended_ms=now, sent_ms=now, again_ms=0))

    # --- following ------------------------------------------------------------------------------------

    async def _advance_part(self, number: int, part: Part, closing: bool) -> Part:
        if closing and not part.closed_ms:
            part = await self._note(number, replace(part, closed_ms=now_ms()))
        if part.again_ms:
            return await self._retry(number, part)
        part = await self._ask(number, part)
        if not part.ended and part.closed_ms and now_ms() >= part.closed_ms + GIVE_UP_MS:
            return await self._end(number, part)
        return part

    async def _ask(self, number: int, part: Part) -> Part:
        """The part after what the provider tells of it, asked with any of its keys that it takes."""
        keys = self._keys(part)
        for key in keys:
            try:
                asked = await self._asked(number, replace(part, key=key, locked_out_ms=0))
            except AuthFailed:
                continue
            except ProviderError as error:
                log.info("a native batch: %s", type(error).__name__, extra={"job_id": self._lease.id})
                if key != part.key:  # what one key does not know tells nothing of another's
                    continue
                gone = part.provider_id and error.upstream_status == 404  # noqa: PLR2004 - it knows it no longer
                return await self._end(number, part) if gone and now_ms() >= part.sent_ms + SETTLED_MS else part
            return await self._note(number, asked) if part.locked_out_ms or key != part.key else asked
        part = await self._note(number, replace(part, locked_out_ms=part.locked_out_ms or now_ms()))
        if part.key not in keys or (self._batch.mode == "auto" and now_ms() >= part.locked_out_ms + LOCKED_OUT_MS):
            log.warning("a native batch is given up: no key may look at it", extra={"job_id": self._lease.id})
            return await self._end(number, part)
        return part

    async def _asked(self, number: int, part: Part) -> Part:
        if not part.provider_id:
            part = await self._find(number, part)
        return await self._follow(number, part) if part.provider_id and not part.ended else part

    async def _follow(self, number: int, part: Part) -> Part:
        client = self._client(part)
        seen = await client.look(part.provider_id)
        if not seen.ended:
            if part.closed_ms:
                await client.cancel(part.provider_id)
            return part
        if seen.full and not part.closed_ms:
            part = await self._put_off(number, part)
        elif seen.failure and not seen.full:
            error = Rejected(seen.failure, provider=self._group.provider, upstream_status=400)
            part = await self._refuse(number, part, error)
        else:
            try:
                await self._keeper.fetch(client, self._mark(number, part.refusals), part, seen)
            except Garbled:  # and will be the next time: the shards run what has not been read
                log.warning("the rest of a native batch's results is given up", extra={"job_id": self._lease.id})
            part = await self._end(number, part)
        await client.clear(seen)
        return part

    async def _refuse(self, number: int, part: Part, error: ProviderError) -> Part:
        """The provider does not take it: who asked for no other way hears why, the others' items run directly."""
        if self._batch.mode == "native":
            await self._keeper.refuse(part, error)
        return await self._end(number, part)

    # --- what belongs together ------------------------------------------------------------------------

    def _mark(self, number: int, refusals: int = 0) -> str:
        """What a part is called at the provider, sent after so many refusals."""
        again = f" {refusals}" if refusals else ""
        return named_after(self._batch.id, f"native {self._number} {number}{again}").replace("-", "")

    def _keys(self, part: Part) -> list[str]:
        """Those that may know of it: the one that it was sent with, and once it was accepted the others after it."""
        if not part.provider_id:  # that another does not find it would not mean that it was not accepted
            return [part.key]
        return sorted(self._all_keys(), key=lambda name: name != part.key)

    def _all_keys(self) -> list[str]:
        return [target.key.name for target in self._targets()]

    def _targets(self) -> list[Target]:
        provider, model = self._group.provider, self._group.model
        return self._means.router.targets(provider, model, only=batch_keys(self._means.router, provider))

    def _client(self, part: Part) -> Client:
        """With the key that the part was sent with. Raises InvalidRequest when that is no longer configured."""
        self._use(part.key)
        wire = wire_of(self._target)
        return Client(self._means.transport, self._means.signer.sign, self._target, wire, self._batch.headers)

    def _use(self, name: str) -> None:
        """Go on with the key of that name. Raises InvalidRequest when it is no longer configured."""
        if self._target.key.name == name:
            return
        keys = [key for key in self._target.provider.keys if key.name == name]
        if not keys:
            raise InvalidRequest("The provider key of a native batch is no longer configured.")
        offered = [target for target in self._targets() if target.key.name == name]
        self._target = offered[0] if offered else replace(self._target, key=keys[0])

    async def _end(self, number: int, part: Part) -> Part:
        """Nothing more comes of it: what it has no result for is its shards' to run."""
        await self._done(range(part.first, part.until))
        return await self._note(number, replace(part, ended=True))

    async def _note(self, number: int, part: Part) -> Part:
        claim = (self._lease.id, self._lease.fence, self._batch.id)
        if not await outlast(partial(self._means.noted.note, *claim, self._number, number, part)):
            raise LeaseLost(self._lease.id)
        return part
