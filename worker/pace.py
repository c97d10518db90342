"""Gives up streams that trickle: before their first byte is handed on, so that another attempt can still be made."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from shared.errors import Overloaded
from shared.network_settings import StreamGuard

ENOUGH_CHARACTERS = 256
ENOUGH_BYTES = 64 * 1024
"""After so many a stream has shown its pace; no more of it is ever held back."""
SHORTEST_S = 0.1

_WRITTEN = re.compile(
    rb'"(?:arguments|content|delta|input|partial_json|reasoning|reasoning_content|refusal|text|thinking)"\s*:\s*'
    rb'"((?:[^"\\]|\\.)*)"'
)
"""A piece of output as some wire writes it, in an event of any framing."""


async def paced(chunks: AsyncIterator[bytes], guard: StreamGuard, provider: str) -> AsyncIterator[bytes]:
    """`chunks`, of which the first are held back until they came as fast as `guard` asks, or have ended.

    The time counts from the first character of output: waiting for it is not slowness.

    Raises:
        Overloaded: they are slower; nothing was handed on. And what `chunks` raises.
    """
    least = guard.minimum_output_characters_per_second
    wanted = min(least * guard.probe_window_in_seconds, ENOUGH_CHARACTERS)
    held, seen = bytearray(), 0
    counted, deadline = 0, None
    while seen < wanted and len(held) < ENOUGH_BYTES:
        try:
            async with asyncio.timeout_at(deadline):
                chunk = await anext(chunks, b"")
        except TimeoutError as error:
            raise _too_slow(least, provider) from error
        if not chunk:
            break
        held += chunk
        for match in _WRITTEN.finditer(held, counted):
            seen += len(match[1].decode("utf-8", "replace"))
            counted = match.end()
        if seen and deadline is None:
            deadline = asyncio.get_running_loop().time() + max(wanted / least, SHORTEST_S)
    if held:
        yield bytes(held)
    async for chunk in chunks:
        yield chunk


def _too_slow(least: int, provider: str) -> Overloaded:
    message = f"The provider's stream is slower than {least} characters a second, the least that is configured."
    return Overloaded(message, provider=provider, code="stream_throughput_below_minimum")
