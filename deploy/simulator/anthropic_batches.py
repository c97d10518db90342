"""Anthropic's Message Batches API: https://docs.claude.com/en/api/creating-message-batches."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec

from deploy.simulator.batches import WINDOW_S, AnswerItem, Batch, Item, Result, Shelf, moment
from deploy.simulator.http import Request
from deploy.simulator.ledger import Entry
from deploy.simulator.wires import Refusal

PATH = re.compile(r"(?:/anthropic)?/v1/messages/batches(?:/(?P<id>[^/]+)(?:/(?P<verb>cancel|results))?)?")
MOST_ITEMS = 100_000

_MESSAGES = "/v1/messages"
_SUCCEEDED = 200


class _Item(msgspec.Struct):
    custom_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    params: msgspec.Raw


class _Create(msgspec.Struct):
    requests: Annotated[list[_Item], msgspec.Meta(min_length=1, max_length=MOST_ITEMS)]


_read = msgspec.json.Decoder(_Create).decode
_encode = msgspec.json.Encoder().encode


class AnthropicBatches:
    """Answers what `PATH` matches."""

    def __init__(self, answer_item: AnswerItem) -> None:
        self._shelf = Shelf("msgbatch_", answer_item)

    def answer(self, request: Request, entry: Entry) -> bytes:
        """The body of the answer. Raises Refusal."""
        found = PATH.fullmatch(request.path)
        batch_id, verb = found.group("id", "verb") if found else (None, None)
        match request.method, batch_id, verb:
            case "POST", None, None:
                return _encode(_shown(self._create(request, entry)))
            case "GET", None, None:
                return self._list(request.query)
            case "GET", str(name), None:
                return _encode(_shown(self._shelf.look(name)))
            case "POST", str(name), "cancel":
                return _encode(_shown(self._shelf.cancel(name)))
            case "GET", str(name), "results":
                return self._results(name)
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    def _create(self, request: Request, entry: Entry) -> Batch:
        try:
            asked = _read(request.body).requests
        except msgspec.DecodeError as error:
            raise Refusal(400, f"requests: {error}") from error
        if len({item.custom_id for item in asked}) < len(asked):
            raise Refusal(400, "requests: each custom_id must be unique")
        items = [Item(item.custom_id, _MESSAGES, bytes(item.params)) for item in asked]
        return self._shelf.add(items, request.headers, entry)

    def _list(self, query: str) -> bytes:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        batches, more = self._shelf.newest(int(asked.get("limit", "20")), asked.get("after_id", ""))
        names: list[str | None] = [batch.id for batch in batches] or [None]
        data = [_shown(batch) for batch in batches]
        return _encode({"data": data, "has_more": more, "first_id": names[0], "last_id": names[-1]})

    def _results(self, name: str) -> bytes:
        results = self._shelf.find(name).results
        if results is None:
            raise Refusal(404, "The batch has no results yet.")
        return b"".join(map(_line, results))


def _line(result: Result) -> bytes:
    if not result.status:
        came_to: dict[str, Any] = {"type": "canceled"}
    elif result.status == _SUCCEEDED:
        came_to = {"type": "succeeded", "message": msgspec.Raw(result.body)}
    else:
        came_to = {"type": "errored", "error": msgspec.Raw(result.body)}
    return _encode({"custom_id": result.custom_id, "result": came_to}) + b"\n"


def _shown(batch: Batch) -> dict[str, Any]:
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if batch.results is None:
        counts["processing"] = len(batch.items)
    for result in batch.results or ():
        counts["canceled" if not result.status else "succeeded" if result.status == _SUCCEEDED else "errored"] += 1
    ended = batch.results is not None
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if batch.cancelled else "in_progress",
        "request_counts": counts,
        "created_at": moment(batch.created),
        "expires_at": moment(batch.created + WINDOW_S),
        "ended_at": moment(batch.created) if ended else None,
        "cancel_initiated_at": moment(batch.created) if batch.cancelled else None,
        "archived_at": None,
        "results_url": f"{_MESSAGES}/batches/{batch.id}/results" if ended else None,
    }
