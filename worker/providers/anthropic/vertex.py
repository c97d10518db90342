"""The adapter for Claude on Google's Vertex AI: Anthropic's wire, with the model in the path and a version in the body.

https://docs.anthropic.com/en/api/claude-on-vertex-ai. Betas stay in their header, as Anthropic's own SDK sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from msgspec import Raw

from shared.chat import ChatRequest
from shared.errors import Unsupported
from worker.providers.anthropic import Anthropic
from worker.providers.anthropic.edit import edited
from worker.providers.base import Adapter, Rendered, Row

_VERSION = Raw(b'"vertex-2023-10-16"')
_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


class AnthropicVertex(Anthropic):
    """What is not as at Anthropic's own API."""

    def path(self, operation: str, model: str = "", *, stream: bool = False) -> str:
        """URL path below `…/publishers/anthropic`, for `chat` or `count_tokens`.

        Raises:
            Unsupported: any other operation.
        """
        match operation:
            case "chat":
                return f"/models/{quote(model, safe='@')}:{'streamRawPredict' if stream else 'rawPredict'}"
            case "count_tokens":
                return "/models/count-tokens:rawPredict"
            case _:
                message = f"Claude on Vertex has no operation {operation!r}."
                raise Unsupported(message, code="unsupported_operation")

    def headers(self, row: Row, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """Those of Anthropic without the version, which the body has."""
        made = super().headers(row, key, client)
        del made["anthropic-version"]
        return made

    def edit(self, body: bytes, row: Row, model: str, operation: str = "chat") -> bytes:  # noqa: ARG002 - the protocol's
        """See `edit.edit`."""
        return _placed(edited(body, model), operation)

    def render(self, request_: ChatRequest, row: Row, operation: str = "chat") -> Rendered:
        """See `request.render`."""
        rendered = super().render(request_, row, operation)
        return Rendered(_placed(_FIELDS.decode(rendered.body), operation), rendered.dropped)


def _placed(fields: dict[str, Raw], operation: str) -> bytes:
    """The body; a count names its model there, for its path does not."""
    if operation == "chat":
        del fields["model"]
    return _ENCODER.encode({**fields, "anthropic_version": _VERSION})


ANTHROPIC_VERTEX: Adapter = AnthropicVertex()
