"""The adapter for Amazon Bedrock's Converse API, which every chat model there is behind."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from shared.chat import ChatRequest, ChatResponse, Usage
from shared.errors import ProviderError, Unsupported
from shared.wire.bedrock import WIRE
from worker.providers.base import Adapter, Model, Rendered, Row, StreamParser
from worker.providers.base import Reader as AnyReader
from worker.providers.bedrock import count, errors, request, response, stream
from worker.providers.bedrock.frames import Reader
from worker.providers.headers import json_headers
from worker.providers.unspoken import Unspoken

_ACTIONS = {"chat": "converse", "count_tokens": "count-tokens"}
_STREAMED = "converse-stream"


class _Bedrock(Unspoken):
    wire = WIRE

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        if operation not in _ACTIONS:
            raise _no_such(operation)
        action = _STREAMED if stream and operation == "chat" else _ACTIONS[operation]
        return f"/model/{quote(model, safe='')}/{action}"

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """Without a key of Bedrock's own, the call is signed when it is whole."""
        return json_headers(row, key, client)

    def render(self, request_: ChatRequest, row: Row, operation: str = "chat") -> Rendered:
        rendered = request.render(request_, row.name)
        return count.only_counted(rendered) if operation == "count_tokens" else rendered

    def count(self, body: bytes) -> int:
        return count.tokens(body)

    def parse(self, body: bytes, row: Row) -> ChatResponse:
        return response.parse(row.name, body)

    def usage(self, body: bytes) -> Usage:
        return response.usage(body)

    def stream(self, row: Row) -> StreamParser:
        return stream.Parser(row.name)

    def reader(self) -> AnyReader:
        return Reader()

    def error(self, row: Row, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        return errors.error(row.name, status, headers, body)

    def models(self, body: bytes) -> list[Model]:
        """Raise Unsupported: the models are listed at another address, which takes another signature."""
        raise _no_such("models")

    def next_page(self, body: bytes) -> str:
        """As `models`."""
        raise _no_such("models")


def _no_such(operation: str) -> Unsupported:
    return Unsupported(f"Bedrock's Converse API has no operation {operation!r}.", code="unsupported_operation")


BEDROCK: Adapter = _Bedrock()
