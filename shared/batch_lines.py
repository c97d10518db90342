"""A line of results: what an item of a batch came to, as JSONL in the shape of the batch's surface. Pure.

Each line ends with a newline and holds no other, so that blobs of lines can be read one after the other as one file.
"""

from __future__ import annotations

import msgspec

from shared.batches import Batch, Ending, Item, named_after
from shared.dialects import DIALECTS
from shared.errors import GatewayError
from shared.ids import named
from shared.jobs import Outcome

ANTHROPIC = "anthropic"

_NO_SUCCESS = 400
_encode = msgspec.json.Encoder().encode

_MESSAGE = b'{"custom_id":%b,"result":{"type":"succeeded","message":%b}}\n'
_ERROR = b'{"custom_id":%b,"result":{"type":"errored","error":%b}}\n'
"""https://docs.claude.com/en/api/retrieving-message-batch-results"""

_RESPONSE = b'{"id":"%b","custom_id":%b,"response":{"status_code":%d,"request_id":"%b","body":%b},"error":null}\n'
"""https://platform.openai.com/docs/api-reference/batch/request-output"""

_BREAKS = ((b"\r", b" "), (b"\n", b" "), *((char.encode(), b"\\u%04x" % ord(char)) for char in "\x85\u2028\u2029"))
"""JSON lets the last three stand in a string, but Python's `str.splitlines` takes them for the end of a line."""


def names_of(batch: Batch, item: Item) -> tuple[str, str]:
    """The UUID and the request id of an item, the same whoever runs it."""
    uuid = named_after(batch.id, f"item {item.index}")
    return uuid, f"req_{uuid.replace('-', '')[:24]}"


def answered(batch: Batch, item: Item, uuid: str, request_id: str, outcome: Outcome) -> tuple[Ending, bytes]:
    """The item that ended with `outcome`, its answer or its error in the dialect's own body; `uuid` names the line."""
    ending = Ending.SUCCEEDED if outcome.status < _NO_SUCCESS else Ending.ERRORED
    name, body = encoded(item.custom_id), on_one_line(outcome.body)
    if batch.surface == ANTHROPIC:
        return ending, (_MESSAGE if ending is Ending.SUCCEEDED else _ERROR) % (name, body)
    shown = named("batch_req_", uuid).encode()
    return ending, _RESPONSE % (shown, name, outcome.status, request_id.encode(), body)


def told(batch: Batch, item: Item, error: GatewayError) -> tuple[Ending, bytes]:
    """The item that came to `error`."""
    dialect, (uuid, request_id) = DIALECTS[batch.dialect], names_of(batch, item)
    outcome = Outcome(status=dialect.error_status(error), body=dialect.render_error(error, request_id))
    return answered(batch, item, uuid, request_id, outcome)


def gone(batch: Batch, item: Item) -> tuple[Ending, bytes]:
    """The item that has ended and whose result cannot be shown."""
    error = GatewayError(
        "The gateway has lost the result of this request, or cannot read it with encryption.keys.",
        code="value_unreadable",
        should_retry=False,
    )
    return told(batch, item, error)


def encoded(custom_id: str) -> bytes:
    """A name as a line holds it."""
    return on_one_line(_encode(custom_id))


def on_one_line(body: bytes) -> bytes:
    """The same JSON: a line break can only stand between two tokens, for inside a string it is written out."""
    for found, written in _BREAKS:
        if found in body:
            body = body.replace(found, written)
    return body
