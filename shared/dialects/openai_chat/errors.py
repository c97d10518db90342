"""Errors in Chat Completions; all but the end of a stream are told as on the rest of OpenAI's surface."""

from __future__ import annotations

from shared import sse
from shared.dialects.openai_errors import render_error
from shared.errors import GatewayError


def stream_error(error: GatewayError) -> bytes:
    """The frame that ends a broken stream; no `[DONE]` follows, so no reader takes it for a finished answer."""
    return sse.write(render_error(error))
