"""Canonical stream events: what an adapter's stream parser emits and a dialect's stream renderer accepts.

An adapter guarantees, whatever the provider sent:

    Started ( PartStarted delta* PartStopped )* Finished
                                              │
    at any point instead of the rest: Broken ─┘

    delta: TextDelta | CitationDelta | SignatureDelta | ArgumentsDelta, as the open part has text, a signature, …

Part indexes run 0, 1, 2… without a gap and one part is open at a time, because Anthropic's SDKs need both.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from shared.chat import Citation, RedactedThinking, Refusal, StopReason, Text, Thinking, ToolCall, Usage
from shared.errors import ProviderError


class Started(msgspec.Struct, frozen=True):
    """The answer begins. `usage` holds what is known by now (often only input tokens, or zeros)."""

    id: str
    model: str
    usage: Usage
    created_s: int | None = None


class PartStarted(msgspec.Struct, frozen=True):
    """A part opens; `part` is its empty shell (a ToolCall has id and name, and empty arguments)."""

    index: int
    part: Text | Thinking | RedactedThinking | ToolCall | Refusal


class TextDelta(msgspec.Struct, frozen=True):
    """More text of the open Text, Thinking or Refusal part."""

    index: int
    text: str


class CitationDelta(msgspec.Struct, frozen=True):
    """One more source of the open Text part; it may come before, amid or after the text."""

    index: int
    citation: Citation


class SignatureDelta(msgspec.Struct, frozen=True):
    """The signature of the open Thinking part, whole."""

    index: int
    signature: str


class ArgumentsDelta(msgspec.Struct, frozen=True):
    """More JSON text of the open ToolCall's arguments."""

    index: int
    text: str


class PartStopped(msgspec.Struct, frozen=True):
    """The open part is complete."""

    index: int


class Finished(msgspec.Struct, frozen=True):
    """The answer is complete; `usage` is final and cumulative."""

    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None


class Broken(msgspec.Struct, frozen=True):
    """The provider ended the stream with an error, or it cannot be read on."""

    error: ProviderError


Event: TypeAlias = (
    Started
    | PartStarted
    | TextDelta
    | CitationDelta
    | SignatureDelta
    | ArgumentsDelta
    | PartStopped
    | Finished
    | Broken
)
