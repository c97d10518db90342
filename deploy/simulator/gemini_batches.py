"""Batches of the Gemini API, whose requests and answers travel inline: https://ai.google.dev/api/batch-api."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

import msgspec

from deploy.simulator.batches import AnswerItem, Batch, Item, Result, Shelf, moment
from deploy.simulator.http import Request
from deploy.simulator.ledger import Entry
from deploy.simulator.wires import Refusal

PATH = re.compile(
    r"/gemini/v1beta/(?:models/(?P<model>[^/:]+):batchGenerateContent|batches(?:/(?P<id>[^/:]+)(?P<cancel>:cancel)?)?)"
)

_MOST_BYTES = 20_000_000
_SUCCEEDED = 200
_CANCELLED = {"code": 1, "message": "The request was cancelled."}
_encode = msgspec.json.Encoder().encode


class _Key(msgspec.Struct):
    key: str = ""


class _Request(msgspec.Struct):
    request: msgspec.Raw
    metadata: _Key = msgspec.field(default_factory=_Key)


class _Requests(msgspec.Struct):
    requests: list[_Request]


class _Input(msgspec.Struct):
    requests: _Requests


class _Asked(msgspec.Struct, rename="camel"):
    input_config: _Input
    display_name: str


class _Create(msgspec.Struct):
    batch: _Asked


class _Told(msgspec.Struct):
    """An error, as a plain call would have answered with it."""

    error: msgspec.Raw


_read = msgspec.json.Decoder(_Create).decode
_error = msgspec.json.Decoder(_Told).decode


class GeminiBatches:
    """Answers what `PATH` matches."""

    def __init__(self, answer_item: AnswerItem) -> None:
        self._shelf = Shelf("", answer_item)
        self._asked: dict[str, tuple[str, str]] = {}

    def answer(self, request: Request, entry: Entry) -> bytes:
        """The body of the answer. Raises Refusal."""
        found = PATH.fullmatch(request.path)
        model, name, cancel = found.group("model", "id", "cancel") if found else (None, None, None)
        match request.method, model, name, cancel:
            case "POST", str(asked), None, None:
                return _encode(self._shown(self._create(request, asked, entry)))
            case "GET", None, None, None:
                return self._list(request.query)
            case "GET", None, str(known), None:
                return _encode(self._shown(self._shelf.look(known)))
            case "POST", None, str(known), ":cancel":
                self._shelf.cancel(known)
                return b"{}"
            case "DELETE", None, str(known), None:
                self._shelf.drop(known)
                return b"{}"
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    def _create(self, request: Request, model: str, entry: Entry) -> Batch:
        if len(request.body) > _MOST_BYTES:
            raise Refusal(400, "Request payload size exceeds the limit: 20971520 bytes.")
        try:
            asked = _read(request.body).batch
        except msgspec.DecodeError as error:
            raise Refusal(400, f"Invalid JSON payload received. {error}") from error
        path = f"/gemini/v1beta/models/{model}:generateContent"
        items = [Item(one.metadata.key, path, bytes(one.request)) for one in asked.input_config.requests.requests]
        self._asked[self._shelf.name_of(entry)] = (model, asked.display_name)
        return self._shelf.add(items, request.headers, entry, model)

    def _list(self, query: str) -> bytes:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        batches, more = self._shelf.newest(int(asked.get("pageSize", "10")), asked.get("pageToken", ""))
        page: dict[str, Any] = {"operations": [self._shown(batch) for batch in batches]}
        return _encode({**page, "nextPageToken": batches[-1].id} if more else page)

    def _shown(self, batch: Batch) -> dict[str, Any]:
        model, display_name = self._asked[batch.id]
        results, cancelled = batch.results, batch.cancelled
        state = "RUNNING" if results is None else "CANCELLED" if cancelled else "SUCCEEDED"
        metadata = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": f"models/{model}",
            "displayName": display_name,
            "createTime": moment(batch.created),
            "batchStats": {"requestCount": str(len(batch.items))},
            "state": f"BATCH_STATE_{state}",
            "name": f"batches/{batch.id}",
        }
        shown = {"name": f"batches/{batch.id}", "metadata": metadata}
        if results is None:
            return shown
        inlined = {"inlinedResponses": {"inlinedResponses": [_shown(result) for result in results]}}
        return {**shown, "done": True, "response": inlined, "metadata": {**metadata, "output": inlined}}


def _shown(result: Result) -> dict[str, Any]:
    shown: dict[str, Any] = {"metadata": {"key": result.custom_id}}
    if result.status == _SUCCEEDED:
        return {**shown, "response": msgspec.Raw(result.body)}
    return {**shown, "error": _error(result.body).error if result.status else _CANCELLED}
