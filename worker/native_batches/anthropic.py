"""Anthropic's Message Batches: https://docs.claude.com/en/api/creating-message-batches. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Raw, Struct

from worker.native_batches.wires import Ask, BatchWire, Line, Seen
from worker.providers.anthropic.errors import stream_error

_BATCHES = "/v1/messages/batches"
_PAGE = 1000

_LINE = b'{"custom_id":"%b","params":%b}'
_REQUESTS = b'{"requests":[%b]}'


class _Counts(Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _Batch(Struct):
    id: str
    processing_status: str
    created_at: datetime
    request_counts: _Counts


class _List(Struct):
    data: list[_Batch]
    has_more: bool = False


class _Result(Struct):
    type: str
    message: Raw = Raw(b"{}")
    error: Raw = Raw(b"{}")


class _ResultLine(Struct):
    custom_id: str
    result: _Result


_batch = msgspec.json.Decoder(_Batch).decode
_list = msgspec.json.Decoder(_List).decode
_result = msgspec.json.Decoder(_ResultLine).decode


class _Anthropic:
    operations = frozenset({"chat"})
    most_items = 100_000
    most_bytes = 256_000_000

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:  # noqa: ARG002 - shape of a protocol
        return _LINE % (custom_id.encode(), body)

    def upload(self, lines: list[bytes], mark: str) -> Ask | None:  # noqa: ARG002 - the same
        return None

    def uploaded(self, body: bytes, mark: str) -> str:  # noqa: ARG002 - the same
        return ""

    def discard(self, file_id: str) -> Ask:  # noqa: ARG002 - the same
        raise AssertionError("nothing is uploaded")

    def create(self, lines: list[bytes], path: str, mark: str, file_id: str) -> Ask:  # noqa: ARG002 - the same
        return Ask("POST", _BATCHES, _REQUESTS % b",".join(lines))

    def look(self, batch_id: str) -> Ask:
        return Ask("GET", f"{_BATCHES}/{batch_id}")

    def cancel(self, batch_id: str) -> Ask:
        return Ask("POST", f"{_BATCHES}/{batch_id}/cancel")

    def newest(self, after: str) -> Ask:
        return Ask("GET", f"{_BATCHES}?limit={_PAGE}" + (f"&after_id={after}" if after else ""))

    def seen(self, body: bytes) -> Seen:
        return _seen(_batch(body))

    def listed(self, body: bytes) -> tuple[list[Seen], str]:
        page = _list(body)
        return [_seen(batch) for batch in page.data], page.data[-1].id if page.data and page.has_more else ""

    def read(self, line: bytes) -> Line:
        found = _result(line)
        match found.result.type:
            case "succeeded":
                return Line(found.custom_id, 200, bytes(found.result.message))
            case "errored":
                body = bytes(found.result.error)
                return Line(found.custom_id, stream_error("anthropic", body).upstream_status or 500, body)
            case _:
                return Line(found.custom_id)


def _seen(batch: _Batch) -> Seen:
    ended = batch.processing_status == "ended"
    return Seen(
        id=batch.id,
        ended=ended,
        created_s=batch.created_at.timestamp(),
        total=sum(msgspec.structs.astuple(batch.request_counts)),
        results=(Ask("GET", f"{_BATCHES}/{batch.id}/results"),) if ended else (),
    )


ANTHROPIC: BatchWire = _Anthropic()
