"""The Gemini API's batch mode: https://ai.google.dev/gemini-api/docs/batch-api. Pure.

Requests travel within the call that creates the batch, which may have 20 MB: what is more is another batch. Answers
come with the batch once it has ended.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from worker.native_batches.wires import Ask, BatchWire, Line, Seen, moment
from worker.providers.hints import safe

_PAGE = 100
_ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")
_HTTP = {3: 400, 5: 404, 7: 403, 8: 429, 9: 400, 12: 501, 13: 500, 14: 503, 16: 401}
"""Statuses by the codes of google.rpc, in which an item's error may be told."""
_CANCELLED, _LATE = 1, 4

_LINE = b'{"request":%b,"metadata":{"key":"%b"}}'
_BATCH = b'{"batch":{"displayName":"%b","inputConfig":{"requests":{"requests":[%b]}}}}'
_encode = msgspec.json.Encoder().encode


class _Status(Struct):
    code: int = 13
    message: str = ""


class _Output(Struct, rename="camel"):
    inlined_responses: Raw = Raw(b"null")
    """A list, or an object whose only field is called so too."""


class _Stats(Struct, rename="camel"):
    request_count: int | str = 0


class _Metadata(Struct, rename="camel"):
    state: str = ""
    display_name: str = ""
    create_time: str = ""
    batch_stats: _Stats = msgspec.field(default_factory=_Stats)
    output: _Output = msgspec.field(default_factory=_Output)


class _Batch(Struct):
    name: str
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    done: bool = False
    response: _Output = msgspec.field(default_factory=_Output)
    error: _Status | None = None


class _Page(Struct, rename="camel"):
    operations: list[_Batch] = []
    next_page_token: str = ""


class _Key(Struct):
    key: str = ""


class _Result(Struct):
    metadata: _Key = msgspec.field(default_factory=_Key)
    response: Raw = Raw(b"")
    error: _Status | None = None


_batch = msgspec.json.Decoder(_Batch).decode
_page = msgspec.json.Decoder(_Page).decode
_nested = msgspec.json.Decoder(_Output).decode
_raws = msgspec.json.Decoder(list[Raw] | None).decode
_result = msgspec.json.Decoder(_Result).decode


class _Gemini:
    operations = frozenset({"chat"})
    most_items = 10_000
    most_bytes = 19_000_000

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:  # noqa: ARG002 - shape of a protocol
        return _LINE % (body, custom_id.encode())

    def upload(self, lines: list[bytes], mark: str) -> Ask | None:  # noqa: ARG002 - the same
        return None

    def uploaded(self, body: bytes, mark: str) -> str:  # noqa: ARG002 - the same
        return ""

    def discard(self, file_id: str) -> Ask:
        return Ask("DELETE", f"/{file_id}")

    def create(self, lines: list[bytes], path: str, mark: str, file_id: str) -> Ask:  # noqa: ARG002 - the same
        model = path.removesuffix(":generateContent")
        return Ask("POST", f"{model}:batchGenerateContent", _BATCH % (mark.encode(), b",".join(lines)))

    def look(self, batch_id: str) -> Ask:
        return Ask("GET", f"/{batch_id}")

    def cancel(self, batch_id: str) -> Ask:
        return Ask("POST", f"/{batch_id}:cancel", b"{}")

    def newest(self, after: str) -> Ask:
        return Ask("GET", f"/batches?pageSize={_PAGE}" + (f"&pageToken={quote(after, safe='')}" if after else ""))

    def seen(self, body: bytes) -> Seen:
        return _seen(_batch(body))

    def listed(self, body: bytes) -> tuple[list[Seen], str]:
        page = _page(body)
        return [_seen(batch) for batch in page.operations], page.next_page_token

    def read(self, line: bytes) -> Line:
        found = _result(line)
        if response := bytes(found.response):
            return Line(found.metadata.key, 200, response)
        error = found.error or _Status(message="The provider's batch has no answer to this request.")
        if error.code in {_CANCELLED, _LATE}:
            return Line(found.metadata.key)
        status = error.code if error.code >= 400 else _HTTP.get(error.code, 500)  # noqa: PLR2004 - HTTP: an error
        said = {"code": status, "message": error.message, "status": "UNKNOWN"}
        return Line(found.metadata.key, status, _encode({"error": said}))


def _seen(batch: _Batch) -> Seen:
    state = batch.metadata.state.rpartition("STATE_")[2]
    ended = batch.done or state in _ENDED
    failed = state == "FAILED" or (batch.error is not None and state not in _ENDED)
    why = batch.error.message if batch.error else ""
    return Seen(
        id=batch.name,
        ended=ended,
        created_s=moment(batch.metadata.create_time),
        total=int(batch.metadata.batch_stats.request_count),
        mark=batch.metadata.display_name,
        lines=_lines(batch) if ended else (),
        failure=safe(why or "The provider refused the batch.") if failed else "",
        leftovers=(GEMINI.discard(batch.name),) if ended else (),
    )


def _lines(batch: _Batch) -> tuple[bytes, ...]:
    for held in (batch.response, batch.metadata.output):
        found = held.inlined_responses
        if bytes(found).lstrip().startswith(b"{"):
            found = _nested(found).inlined_responses
        if lines := _raws(found):
            return tuple(map(bytes, lines))
    return ()


GEMINI: BatchWire = _Gemini()
