"""What failed of a batch, item by item, read from the results of its shards as they end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.batches import Batch, blob
from shared.errors import GatewayError, InvalidRequest, StoreError
from shared.stores.blobs import BlobMissing, Blobs

SHARDS_LOOKED_AT = 100
"""For one page: that of a long batch in which little fails goes on with a link."""
AT_ONCE = 10
"""Shards read at a time."""

_OWN_WORDS = frozenset(
    {
        "api_error",
        "authentication_error",
        "billing_error",
        "insufficient_quota",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "server_error",
        "timeout_error",
    }
)
"""Kinds of errors whose messages speak of the provider or of us; others may quote the request."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Failed(msgspec.Struct, frozen=True):
    """An item that did not succeed.

    Attributes:
        ending: as an Ending.
        kind: what sort of error; empty for what was never begun.
        status: HTTP status, 0 where the results hold none.
        message: empty when it may quote the request and may not be shown.
    """

    custom_id: str
    ending: str
    kind: str = ""
    status: int = 0
    message: str = ""


class Found(msgspec.Struct, frozen=True):
    """A page of them; `next` is where the next begins, empty at the end."""

    rows: list[Failed]
    next: str


async def failures(blobs: Blobs, batch: Batch, done: list[int], *, after: str, count: int, show_content: bool) -> Found:
    """The next `count` in the order of the shards that are `done`, from `after` on, the `next` of another page.

    Raises InvalidRequest for an `after` that is none.
    """
    shard, first = _place(after)
    ahead = [number for number in done if number >= shard]
    rows: list[Failed] = []
    for at in range(0, min(len(ahead), SHARDS_LOOKED_AT), AT_ONCE):
        numbers = ahead[at : at + AT_ONCE]
        shards = await asyncio.gather(*(_lines(blobs, batch, number) for number in numbers))
        for number, lines in zip(numbers, shards, strict=True):
            begin = first if number == shard else 0
            room = count - len(rows)
            rows += [read_line(line, show_content=show_content) for line in lines[begin : begin + room]]
            if len(lines) > begin + room:
                return Found(rows, f"{number}_{begin + room}")
    more = len(ahead) > SHARDS_LOOKED_AT
    return Found(rows, f"{ahead[SHARDS_LOOKED_AT]}_0" if more else "")


async def _lines(blobs: Blobs, batch: Batch, shard: int) -> list[bytes]:
    try:
        return (await blobs.of(batch.owner).get(blob(batch.id, "err", shard))).splitlines()
    except BlobMissing:  # all of it succeeded
        return []
    except StoreError:
        raise
    except GatewayError as error:  # one part that the keys do not open does not hide the others
        told = {"type": "errored", "error": {"error": {"type": "api_error", "message": str(error)}}}
        return [msgspec.json.encode({"custom_id": "", "result": told})]


def read_line(line: bytes, *, show_content: bool) -> Failed:
    """A line of results, in the shape of either surface; what a provider put there is shown as far as it can be."""
    row = _decode(line)
    name, result = str(row.get("custom_id", "")), row.get("result")
    if isinstance(result, dict):
        ending, status, error = str(result.get("type", "")), 0, _within(result, "error", "error")
    elif response := row.get("response"):
        ending, status, error = "errored", int(response.get("status_code") or 0), _within(response, "body", "error")
    else:
        code = str(_within(row, "error").get("code") or "")
        ending = {"batch_cancelled": "canceled", "batch_expired": "expired"}.get(code, "errored")
        return Failed(name, ending)
    kind = str(error.get("type") or error.get("code") or "")
    told = show_content or kind in _OWN_WORDS
    return Failed(name, ending, kind, status, str(error.get("message") or "") if told else "")


def _within(row: dict[str, Any], *path: str) -> dict[str, Any]:
    for name in path:
        inner = row.get(name)
        row = inner if isinstance(inner, dict) else {}
    return row


def _place(after: str) -> tuple[int, int]:
    shard, _, line = (after or "0_0").partition("_")
    if not (shard.isascii() and shard.isdigit() and line.isascii() and line.isdigit() and len(after) < 20):  # noqa: PLR2004 - of two numbers
        raise InvalidRequest("after: expected the link of an earlier page.", param="after")
    return int(shard), int(line)
