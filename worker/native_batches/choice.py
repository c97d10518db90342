"""Which items of a batch go to a provider's batch API, and in which groups."""

from __future__ import annotations

from collections import Counter

import msgspec

from shared.batch_lines import names_of
from shared.batches import MOST_GROUPS, Batch, Item, blob, items_of
from shared.errors import GatewayError, InvalidRequest, StoreError
from shared.ids import now_ms
from shared.stores.blobs import BlobMissing, Blobs
from worker.begun import Begun, begin
from worker.native_batches.offers import offers
from worker.native_batches.records import REST, Group, Plan
from worker.routing import Router

RESERVE_MS = 3 * 3_600_000
"""How long before the end of its window a batch is taken back from its provider, to be run directly."""
LEAST_ITEMS = 10
"""Of a group that `auto` makes: half the price of fewer requests is not worth the wait of up to a day."""


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
        for item in items_of(await self._blobs.of(batch.owner).get(blob(batch.id, "in", shard))):
            begun = self._eligible(batch, item)
            if begun is not None and _group(begun) == group:
                found.append(Held(shard, item, begun.job.id, begun))
        return found

    def rest(self, batch: Batch, plan: Plan, items: list[Item]) -> list[Item]:
        """Those of the items that are in no group."""
        begun = [self._eligible(batch, item) for item in items]
        return [item for item, one in zip(items, begun, strict=True) if one is None or _group(one) not in plan.groups]

    async def plan(self, batch: Batch) -> Plan:
        """What of the batch goes to a batch API, and what is run directly."""
        offered = {
            name for name, wire in offers(self._router, batch.mode).items() if batch.operation in wire.operations
        }
        if not offered or now_ms() >= batch.expires_ms - RESERVE_MS:
            return Plan()
        shards: list[Counter[Group | None]] = []
        for shard in range(batch.shards):
            try:
                items = items_of(await self._blobs.of(batch.owner).get(blob(batch.id, "in", shard)))
            except StoreError:
                raise
            except (BlobMissing, GatewayError):  # lost or unreadable: the shards say so
                return Plan()
            begun = [self._eligible(batch, item) for item in items]
            groups = [None if one is None else _group(one) for one in begun]
            shards.append(Counter(group if group and group.provider in offered else None for group in groups))
        return _planned(shards, 1 if batch.mode == "native" else LEAST_ITEMS)

    def _eligible(self, batch: Batch, item: Item) -> Begun | None:
        """The item as it is sent; None when a batch API cannot do all that is asked: it knows no fallbacks."""
        if item.problem:
            return None
        try:
            begun = begin(batch, item, *names_of(batch, item), self._router.providers)
        except InvalidRequest:
            return None
        return None if begun.job.fallbacks else begun


def _planned(shards: list[Counter[Group | None]], least: int) -> Plan:
    """The largest groups of at least so many items; `shards` counts each one's items by group."""
    total: Counter[Group] = Counter()
    for counts in shards:
        total.update({group: count for group, count in counts.items() if group is not None})
    groups = tuple(group for group, count in total.most_common(MOST_GROUPS) if count >= least)
    numbers: dict[Group | None, int] = {group: number for number, group in enumerate(groups)}
    members = [tuple(sorted({numbers.get(group, REST) for group in counts})) for counts in shards]
    return Plan(groups, tuple(members) if groups else ())


def _group(begun: Begun) -> Group:
    provider, _, model = begun.job.model.partition("/")
    return Group(provider, model)
