"""OpenAI's Batch API and the files it reads and writes: https://platform.openai.com/docs/api-reference/batch."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

import msgspec

from deploy.simulator.batches import WINDOW_S, AnswerItem, Batch, Item, Result, Shelf
from deploy.simulator.http import Request
from deploy.simulator.ledger import Entry
from deploy.simulator.wires import Refusal

PATH = re.compile(
    r"(?P<prefix>/v1|/openai/v1|/openai|/azure/openai/v1|)"
    r"/(?P<what>files|batches)(?:/(?P<id>[^/]+)(?:/(?P<verb>cancel|content))?)?"
)
ENDPOINTS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings")

_ERROR = 400
_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_NAME = re.compile(rb'name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')


class _Create(msgspec.Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class _File(msgspec.Struct):
    filename: str
    purpose: str
    created: int
    content: bytes


_read = msgspec.json.Decoder(_Create).decode
_read_line = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class OpenAIBatches:
    """Answers what `PATH` matches."""

    def __init__(self, answer_item: AnswerItem) -> None:
        self._shelf = Shelf("batch_", answer_item)
        self._asked: dict[str, _Create] = {}
        self._files: dict[str, _File] = {}

    def answer(self, request: Request, entry: Entry) -> bytes:
        """The body of the answer. Raises Refusal."""
        found = PATH.fullmatch(request.path)
        what, name, verb = found.group("what", "id", "verb") if found else ("", None, None)
        match request.method, what, name, verb:
            case "POST", "files", None, None:
                return self._upload(request, entry)
            case "GET", "files", str(name), "content":
                return self._file(name).content
            case "DELETE", "files", str(name), None:
                self._file(name)
                del self._files[name]
                return _encode({"id": name, "object": "file", "deleted": True})
            case "POST", "batches", None, None:
                return _encode(self._shown(self._create(request, entry)))
            case "GET", "batches", None, None:
                return self._list(request.query)
            case "GET", "batches", str(name), None:
                return _encode(self._shown(self._shelf.look(name)))
            case "POST", "batches", str(name), "cancel":
                return _encode(self._shown(self._shelf.cancel(name)))
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    # --- files ----------------------------------------------------------------------------------------

    def _upload(self, request: Request, entry: Entry) -> bytes:
        fields = dict(_fields(request))
        if "file" not in fields or "purpose" not in fields:
            raise Refusal(400, "Missing required parameter: 'file' or 'purpose'.", param="file")
        filename, content = fields["file"]
        file = _File(filename, fields["purpose"][1].decode(), int(entry.at), content)
        file_id = f"file-sim{entry.n:08x}"
        self._files[file_id] = file
        shown = {"object": "file", "bytes": len(content), "created_at": file.created, "status": "processed"}
        return _encode({"id": file_id, "filename": filename, "purpose": file.purpose, **shown})

    def _file(self, name: str) -> _File:
        if name not in self._files:
            raise Refusal(404, f"No such File object: {name}", param="id")
        return self._files[name]

    # --- batches --------------------------------------------------------------------------------------

    def _create(self, request: Request, entry: Entry) -> Batch:
        try:
            asked = _read(request.body)
            lines = [_read_line(line) for line in self._file(asked.input_file_id).content.split(b"\n") if line]
        except msgspec.DecodeError as error:
            raise Refusal(400, f"The batch cannot be read: {error}") from error
        if asked.endpoint not in ENDPOINTS or any(line.url != asked.endpoint for line in lines):
            raise Refusal(400, f"Invalid value: '{asked.endpoint}'.", param="endpoint")
        if not lines or len({line.custom_id for line in lines}) < len(lines):
            raise Refusal(400, "The file is empty, or a custom_id occurs twice.", param="input_file_id")
        items = [Item(line.custom_id, line.url, bytes(line.body)) for line in lines]
        self._asked[self._shelf.name_of(entry)] = asked
        return self._shelf.add(items, request.headers, entry)

    def _list(self, query: str) -> bytes:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        batches, more = self._shelf.newest(int(asked.get("limit", "20")), asked.get("after", ""))
        names: list[str | None] = [batch.id for batch in batches] or [None]
        data = [self._shown(batch) for batch in batches]
        return _encode({"object": "list", "data": data, "has_more": more, "first_id": names[0], "last_id": names[-1]})

    def _shown(self, batch: Batch) -> dict[str, Any]:
        asked, created, results = self._asked[batch.id], int(batch.created), batch.results
        status = "cancelling" if batch.cancelled else "in_progress"
        if results is not None:
            status = "cancelled" if batch.cancelled else "completed"
        failed = sum(result.status >= _ERROR or not result.status for result in results or ())
        times = dict.fromkeys(f"{name}_at" for name in ("failed", "expired", "cancelling", "cancelled", "completed"))
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": asked.endpoint,
            "errors": None,
            "input_file_id": asked.input_file_id,
            "completion_window": asked.completion_window,
            "status": status,
            "output_file_id": self._written(batch, "output"),
            "error_file_id": self._written(batch, "error"),
            "created_at": created,
            "in_progress_at": created,
            "expires_at": created + WINDOW_S,
            "finalizing_at": None,
            **times,
            "request_counts": {
                "total": len(batch.items),
                "completed": len(results or ()) - failed,
                "failed": failed,
            },
            "metadata": asked.metadata,
        }

    def _written(self, batch: Batch, kind: str) -> str | None:
        """Id of the file with the batch's answers, or with its errors; None when there are none."""
        wanted = [result for result in batch.results or () if (200 <= result.status < _ERROR) == (kind == "output")]  # noqa: PLR2004
        if not wanted:
            return None
        name = f"file-{kind}-{batch.id}"
        if name not in self._files:
            content = b"".join(map(_line, wanted))
            self._files[name] = _File(f"{name}.jsonl", "batch_output", int(batch.created), content)
        return name


def _line(result: Result) -> bytes:
    response = error = None
    if result.status:
        response = {"status_code": result.status, "request_id": "req_sim", "body": msgspec.Raw(result.body)}
    else:
        error = {"code": "batch_cancelled", "message": "This request was cancelled before it was run."}
    shown = {"id": f"batch_req_{result.custom_id}", "custom_id": result.custom_id}
    return _encode({**shown, "response": response, "error": error}) + b"\n"


def _fields(request: Request) -> list[tuple[str, tuple[str, bytes]]]:
    """Name, filename and content of each field of a multipart form."""
    boundary = _BOUNDARY.search(request.headers.get("content-type", ""))
    if boundary is None:
        raise Refusal(400, "The body is not multipart/form-data.")
    fields = []
    for part in request.body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name, filename = _NAME.search(head), _FILENAME.search(head)
        if name:
            shown = filename[1].decode() if filename else ""
            fields.append((name[1].decode(), (shown, content.removesuffix(b"\r\n"))))
    return fields
