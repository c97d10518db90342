"""What the items of a shard came to without an answer, and a shard's lines put together. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from shared.batch_lines import ANTHROPIC, encoded, gone, told
from shared.batches import Batch, Ending, Item
from shared.errors import GatewayError
from shared.ids import named

_UNRUN = b'{"custom_id":%b,"result":{"type":"%b"}}\n'
_NO_RESPONSE = b'{"id":"%b","custom_id":%b,"response":null,"error":{"code":"%b","message":"%b"}}\n'
_WHY_UNRUN = {
    Ending.CANCELED: (b"batch_cancelled", b"The batch was cancelled before this request was begun."),
    Ending.EXPIRED: (b"batch_expired", b"The batch's completion window ended before this request was begun."),
}


def unrun(batch: Batch, item: Item, uuid: str, ending: Ending) -> bytes:
    """The item that was never begun: `ending` is `canceled` or `expired`."""
    name = encoded(item.custom_id)
    if batch.surface == ANTHROPIC:
        return _UNRUN % (name, ending.value.encode())
    return _NO_RESPONSE % (named("batch_req_", uuid).encode(), name, *_WHY_UNRUN[ending])


def in_place_of_unreadable(
    batch: Batch, items: list[Item], finished: Mapping[int, tuple[Ending, bytes]]
) -> Iterator[tuple[int, tuple[Ending, bytes]]]:
    """An error for each item whose result is kept and cannot be read."""
    for item in items:
        if item.index in finished and not finished[item.index][1]:
            yield item.index, gone(batch, item)


def lost(batch: Batch, index: int) -> tuple[Ending, bytes]:
    """The item at `index`, whose input is lost and its name with it: the place is all that is known."""
    error = GatewayError(
        f"The gateway has lost the request at index {index} of this batch, counted from 0, and its custom_id.",
        code="request_lost",
        should_retry=False,
    )
    return told(batch, Item(index, "", msgspec.Raw(b"{}")), error)


def assemble(results: Mapping[int, tuple[Ending, bytes]]) -> tuple[bytes, bytes]:
    """A shard's `out` and `err`: the lines of the succeeded items, and those of the others, as they were submitted."""
    ordered = [results[index] for index in sorted(results)]
    succeeded = b"".join(line for ending, line in ordered if ending is Ending.SUCCEEDED)
    return succeeded, b"".join(line for ending, line in ordered if ending is not Ending.SUCCEEDED)
