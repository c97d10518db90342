"""OpenAI's Batch API, Azure's v1 surface too: https://platform.openai.com/docs/api-reference/batch. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from shared.batch_lines import on_one_line
from worker.native_batches.wires import Ask, BatchWire, Line, Seen
from worker.providers.hints import safe

_PAGE = 100
_KEPT_S = 3 * 86_400
"""How long the provider keeps the file of requests: longer than any batch that is made of it."""
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_UNRUN = frozenset({"batch_expired", "batch_cancelled"})
_FULL = "token_limit_exceeded"
"""The organisation's limit of tokens in batches that wait, counted for each model; known once it was accepted."""

_LINE = b'{"custom_id":"%b","method":"POST","url":"/v1%b","body":%b}\n'
_encode = msgspec.json.Encoder().encode


class _Counts(Struct):
    total: int = 0


class _Problem(Struct):
    code: str | None = None
    message: str | None = None


class _Problems(Struct):
    data: list[_Problem] | None = None


class _Batch(Struct):
    id: str
    status: str
    created_at: float
    request_counts: _Counts | None = None
    metadata: dict[str, str] | None = None
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Problems | None = None


class _List(Struct):
    data: list[_Batch]
    has_more: bool = False


class _File(Struct):
    id: str


class _Response(Struct):
    status_code: int
    body: Raw = Raw(b"{}")


class _Error(Struct):
    code: str | None = None
    message: str | None = None


class _ResultLine(Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_batch = msgspec.json.Decoder(_Batch).decode
_list = msgspec.json.Decoder(_List).decode
_file = msgspec.json.Decoder(_File).decode
_result = msgspec.json.Decoder(_ResultLine).decode


class _OpenAI:
    operations = frozenset({"chat", "embeddings"})
    most_items = 50_000
    most_bytes = 200_000_000

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:
        return _LINE % (custom_id.encode(), path.encode(), on_one_line(body))

    def upload(self, lines: list[bytes], mark: str) -> Ask | None:
        fields = {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": str(_KEPT_S)}
        parts = [f'--{mark}\r\ncontent-disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()]
        file = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="{mark}.jsonl"\r\n'
        head = "".join([*parts, file, "content-type: application/jsonl\r\n\r\n"]).encode()
        body = b"".join([head, *lines, f"\r\n--{mark}--\r\n".encode()])
        return Ask("POST", "/files", body, f"multipart/form-data; boundary={mark}")

    def uploaded(self, body: bytes, mark: str) -> str:  # noqa: ARG002 - shape of a protocol
        return _file(body).id

    def discard(self, file_id: str) -> Ask:
        return Ask("DELETE", f"/files/{file_id}")

    def create(self, lines: list[bytes], path: str, mark: str, file_id: str) -> Ask:  # noqa: ARG002 - a protocol's
        asked = {"input_file_id": file_id, "endpoint": f"/v1{path}", "completion_window": "24h"}
        return Ask("POST", "/batches", _encode({**asked, "metadata": {"hermod": mark}}))

    def look(self, batch_id: str) -> Ask:
        return Ask("GET", f"/batches/{batch_id}")

    def cancel(self, batch_id: str) -> Ask:
        return Ask("POST", f"/batches/{batch_id}/cancel")

    def newest(self, after: str) -> Ask:
        return Ask("GET", f"/batches?limit={_PAGE}" + (f"&after={after}" if after else ""))

    def seen(self, body: bytes) -> Seen:
        return _seen(_batch(body))

    def listed(self, body: bytes) -> tuple[list[Seen], str]:
        page = _list(body)
        return [_seen(batch) for batch in page.data], page.data[-1].id if page.data and page.has_more else ""

    def read(self, line: bytes) -> Line:
        found = _result(line)
        if found.response is not None:
            return Line(found.custom_id, found.response.status_code, bytes(found.response.body))
        if found.error is not None and found.error.code in _UNRUN:
            return Line(found.custom_id)
        error = found.error or _Error(message="The provider's batch has no answer to this request.")
        said = {"message": error.message, "type": "server_error", "param": None, "code": error.code}
        return Line(found.custom_id, 500, _encode({"error": said}))


def _seen(batch: _Batch) -> Seen:
    files = (batch.output_file_id, batch.error_file_id)
    problems = (batch.errors.data if batch.errors else None) or [_Problem()]
    failure = safe(problems[0].message or "The provider refused the batch.") if batch.status == "failed" else ""
    return Seen(
        id=batch.id,
        ended=batch.status in _ENDED,
        created_s=batch.created_at,
        total=batch.request_counts.total if batch.request_counts else 0,
        mark=(batch.metadata or {}).get("hermod", ""),
        results=tuple(Ask("GET", f"/files/{name}/content") for name in files if name),
        failure=failure,
        full=bool(failure) and problems[0].code == _FULL,
        leftovers=tuple(OPENAI.discard(name) for name in (batch.input_file_id, *files) if name),
    )


OPENAI: BatchWire = _OpenAI()
