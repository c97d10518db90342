"""What an item came to, as a line of JSONL in the shape of the batch's surface, and a shard's lines put together. Pure.

Each line ends with a newline and holds no other, so that blobs of lines can be read one after the other as one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from shared.batches import Batch, Ending, Item
from shared.dialects import DIALECTS
from shared.errors import GatewayError
from shared.ids import named
from shared.jobs import Outcome
from worker.begun import names_of

ANTHROPIC = "anthropic"

_NO_SUCCESS = 400
_encode = msgspec.json.Encoder().encode

_MESSAGE = b'{"custom_id":%b,"result":{"type":"succeeded","message":%b}}\n'
_ERROR = b'{"custom_id":%b,"result":{"type":"errored","error":%b}}\n'
_UNRUN = b'{"custom_id":%b,"result":{"type":"%b"}}\n'
"""https://docs.claude.com/en/api/retrieving-message-batch-results"""

_RESPONSE = b'{"id":"%b","custom_id":%b,"response":{"status_code":%d,"request_id":"%b","body":%b},"error":null}\n'
_NO_RESPONSE = b'{"id":"%b","custom_id":%b,"response":null,"error":{"code":"%b","message":"%b"}}\n'
"""https://platform.openai.com/docs/api-reference/batch/request-output"""

_WHY_UNRUN = {
    Ending.CANCELED: (b"batch_cancelled", b"The batch was cancelled before this request was begun."),
    Ending.EXPIRED: (b"batch_expired", b"The batch's completion window ended before this request was begun."),
}

_BREAKS = ((b"\r", b" "), (b"\n", b" "), *((char.encode(), b"\\u%04x" % ord(char)) for char in "\x85\u2028\u2029"))
"""JSON lets the last three stand in a string, but Python's `str.splitlines` takes them for the end of a line."""


def answered(batch: Batch, item: Item, uuid: str, request_id: str, outcome: Outcome) -> tuple[Ending, bytes]:
    """The item that ended with `outcome`, its answer or its error in the dialect's own body; `uuid` names the line."""
    ending = Ending.SUCCEEDED if outcome.status < _NO_SUCCESS else Ending.ERRORED
    name, body = _on_one_line(_encode(item.custom_id)), _on_one_line(outcome.body)
    if batch.surface == ANTHROPIC:
        return ending, (_MESSAGE if ending is Ending.SUCCEEDED else _ERROR) % (name, body)
    shown = named("batch_req_", uuid).encode()
    return ending, _RESPONSE % (shown, name, outcome.status, request_id.encode(), body)


def unrun(batch: Batch, item: Item, uuid: str, ending: Ending) -> bytes:
    """The item that was never begun: `ending` is `canceled` or `expired`."""
    name = _on_one_line(_encode(item.custom_id))
    if batch.surface == ANTHROPIC:
        return _UNRUN % (name, ending.value.encode())
    return _NO_RESPONSE % (named("batch_req_", uuid).encode(), name, *_WHY_UNRUN[ending])


def in_place_of_unreadable(
    batch: Batch, items: list[Item], finished: Mapping[int, tuple[Ending, bytes]]
) -> Iterator[tuple[int, tuple[Ending, bytes]]]:
    """An error for each item whose result is kept and cannot be read."""
    error = GatewayError(
        "The gateway cannot read the result of this request with encryption.keys.",
        code="value_unreadable",
        should_retry=False,
    )
    for item in items:
        if item.index in finished and not finished[item.index][1]:
            yield item.index, _told(batch, item, error)


def lost(batch: Batch, index: int) -> tuple[Ending, bytes]:
    """The item at `index`, whose input is lost and its name with it: the place is all that is known."""
    error = GatewayError(
        f"The gateway has lost the request at index {index} of this batch, counted from 0, and its custom_id.",
        code="request_lost",
        should_retry=False,
    )
    return _told(batch, Item(index, "", msgspec.Raw(b"{}")), error)


def unnamed(batch: Batch, shard: int) -> bytes:
    """In place of the results of a shard that cannot be read, when it is not known either which items they are of."""
    error = GatewayError(
        "The gateway cannot read some results of this batch with encryption.keys, nor the custom_id of their requests.",
        code="value_unreadable",
        should_retry=False,
    )
    return _told(batch, Item(batch.total + shard, "", msgspec.Raw(b"{}")), error)[1]


def _told(batch: Batch, item: Item, error: GatewayError) -> tuple[Ending, bytes]:
    dialect, (uuid, request_id) = DIALECTS[batch.dialect], names_of(batch, item)
    outcome = Outcome(status=dialect.error_status(error), body=dialect.render_error(error, request_id))
    return answered(batch, item, uuid, request_id, outcome)


def assemble(results: Mapping[int, tuple[Ending, bytes]]) -> tuple[bytes, bytes]:
    """A shard's `out` and `err`: the lines of the succeeded items, and those of the others, as they were submitted."""
    ordered = [results[index] for index in sorted(results)]
    succeeded = b"".join(line for ending, line in ordered if ending is Ending.SUCCEEDED)
    return succeeded, b"".join(line for ending, line in ordered if ending is not Ending.SUCCEEDED)


def _on_one_line(body: bytes) -> bytes:
    """The same JSON: a line break can only stand between two tokens, for inside a string it is written out."""
    for found, written in _BREAKS:
        if found in body:
            body = body.replace(found, written)
    return body
