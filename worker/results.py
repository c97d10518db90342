"""What an item came to, as a line of JSONL in the shape of the batch's surface, and a shard's lines put together. Pure.

Each line ends with a newline and holds no other, so that blobs of lines can be read one after the other as one file.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.batches import Batch, Ending, Item
from shared.ids import named
from shared.jobs import Outcome

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
