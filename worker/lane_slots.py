"""How many jobs of each lane a worker may hold, so that a request somebody waits for always finds a slot."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from shared.lanes import Lane

KEPT_SHARE = 8
"""An eighth of the slots is kept from async jobs and batches, which may last for minutes."""
LEAST_KEPT = 2
"""One for a request somebody waits for, and one for a chore."""
CHORES_SHARE = 4
"""A quarter may be chores: more, by default, than a few endpoints that do not answer can hold."""


class Room(NamedTuple):
    """How many more jobs of each lower lane may be claimed, of async and batch lane together, and of all of these."""

    chores: int
    async_: int
    batch: int
    detached: int
    lower: int


class LaneSlots:
    """The bounds of one worker's lanes; interactive jobs have none.

    Async jobs and parts of batches leave an eighth of the slots, and each of the two one more to the other. Chores may
    use half of that eighth: receivers of webhooks that are slow to answer leave the other half to who waits in person.
    A part of a batch that is only being written out makes room for another at a provider, up to as many again as may
    be there: more would not be bounded, for what is on its way to a store that is slow stays in memory until it is
    there.

    Attributes:
        freed: done when a lane that had no room when `open_lanes` was asked has some; only one waits for it.
    """

    freed: asyncio.Future[None]

    def __init__(self, slots: int, batch_slots: int) -> None:
        kept = min(max(LEAST_KEPT, slots // KEPT_SHARE), slots - 1)
        self._detached = slots - kept
        self._lower = self._detached + kept // 2
        self._chores = max(1, slots // CHORES_SHARE)
        self._batch = min(batch_slots, max(1, self._detached - 1))
        self._async = max(1, self._detached - min(batch_slots, 1))
        self._held: dict[str, Lane] = {}
        self._count = dict.fromkeys(Lane, 0)
        self._winding_up: set[str] = set()
        self._shut: frozenset[Lane] = frozenset()

    def room(self) -> Room:
        """As it is now."""
        chores, async_, batch = (self._count[lane] for lane in (Lane.CHORES, Lane.ASYNC, Lane.BATCH))
        lower = max(0, self._lower - chores - async_ - batch)
        detached = max(0, min(lower, self._detached - async_ - batch))
        at_work = batch - len(self._winding_up)
        return Room(
            max(0, min(lower, self._chores - chores)),
            max(0, min(detached, self._async - async_)),
            max(0, min(detached, self._batch - at_work, 2 * self._batch - batch)),
            detached,
            lower,
        )

    def open_lanes(self) -> tuple[Lane, ...]:
        """Those with room, in their order; in a running event loop."""
        self.freed = asyncio.get_running_loop().create_future()
        lanes = self._open()
        self._shut = frozenset(Lane).difference(lanes)
        return lanes

    def take(self, job_id: str, lane: Lane) -> None:
        """A job was claimed."""
        self.give(job_id)
        self._held[job_id] = lane
        self._count[lane] += 1

    def wind_up(self, job_id: str) -> None:
        """What is left to do of a part of a batch takes no provider."""
        if job_id in self._held:
            self._winding_up.add(job_id)
            self._tell()

    def give(self, job_id: str) -> None:
        """A job has ended, or was given back; maybe one that was not taken here."""
        if lane := self._held.pop(job_id, None):
            self._count[lane] -= 1
            self._winding_up.discard(job_id)
            self._tell()

    def _open(self) -> tuple[Lane, ...]:
        room = self.room()
        rooms = {Lane.CHORES: room.chores, Lane.ASYNC: room.async_, Lane.BATCH: room.batch}
        return tuple(lane for lane in Lane if rooms.get(lane, 1))

    def _tell(self) -> None:
        if self._shut and not self.freed.done() and not self._shut.isdisjoint(self._open()):
            self.freed.set_result(None)
