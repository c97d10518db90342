"""Which items of a batch go to a provider's batch API, and in which groups."""

from __future__ import annotations

import contextlib

import msgspec

from shared.batches import Batch, Item, blob, items_of
from shared.errors import InvalidRequest
from shared.ids import now_ms
from shared.stores.blobs import BlobMissing, Blobs
from worker.items import Begun, begin, names_of
from worker.native_batches.offers import offers
from worker.native_batches.records import Group
from worker.routing import Router

RESERVE_MS = 3 * 3_600_000
"""How long before the end of its window a batch is taken back from its provider, to be run directly."""
MOST_GROUPS = 16
"""Groups of one batch; with `native`, items of further models run directly."""


class Held(msgspec.Struct, frozen=True):
    """An item of a part, ready to be sent or answered."""

    shard: int
    item: Item
    uuid: str
    begun: Begun


class Chooser:
    """Reads the items of batches."""

    def __init__(self, blobs: Blobs, router: Router) -> None:
        self._blobs = blobs
        self._router = router

    async def held(self, batch: Batch, group: Group, shard: int) -> list[Held]:
        """The items of a shard that are of the group. Raises BlobMissing."""
        found = []
        for item in items_of(await self._blobs.get(blob(batch.id, "in", shard))):
            uuid, request_id = names_of(batch, item)
            with contextlib.suppress(InvalidRequest):
                begun = begin(batch, item, uuid, request_id, self._router.providers)
                if self._fits(item, begun) and _group(begun) == group:
                    found.append(Held(shard, item, uuid, begun))
        return found

    async def groups(self, batch: Batch) -> tuple[Group, ...]:
        """The groups of the batch that go to a batch API; with `auto`, all of it or nothing."""
        offered = {
            name for name, wire in offers(self._router, batch.mode).items() if batch.operation in wire.operations
        }
        if not offered or now_ms() >= batch.expires_ms - RESERVE_MS:
            return ()
        found: dict[Group, None] = {}
        for shard in range(batch.shards):
            try:
                groups = self._groups_of(batch, items_of(await self._blobs.get(blob(batch.id, "in", shard))))
            except BlobMissing:
                return ()
            fitting = [group for group in groups if group is not None and group.provider in offered]
            found.update(dict.fromkeys(fitting))
            whole = len(fitting) == len(groups) and len({group.provider for group in found}) == 1
            if batch.mode != "native" and not (whole and len(found) <= MOST_GROUPS):
                return ()
        return tuple(found)[:MOST_GROUPS]

    def _groups_of(self, batch: Batch, items: list[Item]) -> list[Group | None]:
        groups: list[Group | None] = []
        for item in items:
            try:
                begun = begin(batch, item, *names_of(batch, item), self._router.providers)
            except InvalidRequest:
                groups.append(None)
            else:
                groups.append(_group(begun) if self._fits(item, begun) else None)
        return groups

    @staticmethod
    def _fits(item: Item, begun: Begun) -> bool:
        """Whether a batch API can do all that is asked: it knows no fallbacks."""
        return not item.problem and not begun.job.fallbacks


def _group(begun: Begun) -> Group:
    provider, _, model = begun.job.model.partition("/")
    return Group(provider, model)
