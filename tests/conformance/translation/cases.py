"""What is asked and what is answered, in no vendor's words.

A case has a request in every dialect that can say it, its form on every wire, and an answer on every wire.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from shared.chat import StopReason

MODEL = "the-model"
MAX_TOKENS = 64

HELLO = "Hello"
RULES = ("Answer briefly.", "Use French.")
CHANGE = "From now on, use German."
PNG = "iVBORw0KGgo="
PICTURE_URL = "https://example.com/cat.png"
PDF = "JVBERi0xLjQK"
PDF_URL = "https://example.com/report.pdf"
PDF_NAME = "report.pdf"
NOTE = "The note says: buy milk."
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = "get_weather"
TOOL_TEXT = "The weather in a city."
OTHER_TOOL = "get_time"
CALL, OTHER_CALL = "call_1", "call_2"
PARIS, ROME = {"city": "Paris"}, {"city": "Rome"}
SUNNY = "sunny"
FAILED = "no such city"
THOUGHT = "They greet me."
SIGNATURE = "c2lnbmF0dXJl"
PAGE, PAGE_TITLE = "https://example.com/ruby", "Ruby"


class Said(msgspec.Struct, kw_only=True, frozen=True):
    """An answer.

    Attributes:
        calls: (id, name, arguments) of each tool call.
        citations: (url, title, the words of the answer that rest on it) of each source.
        stop: why it ended: a `StopReason` before it is in anybody's words, then the dialect's own word.
        input_tokens: with what was read from and written to a cache.
    """

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: tuple[tuple[str, str, Any], ...] = ()
    citations: tuple[tuple[str, str, str], ...] = ()
    stop: StopReason | str = StopReason.END
    input_tokens: int = 12
    cached_tokens: int = 0
    written_tokens: int = 0
    output_tokens: int = 5
    thinking_tokens: int = 0


ANSWERS: dict[str, Said] = {
    "text": Said(text="Hello there!"),
    "tools": Said(calls=((CALL, TOOL, PARIS),), stop=StopReason.TOOL_CALL),
    "parallel tools": Said(
        text="Let me see.", calls=((CALL, TOOL, PARIS), (OTHER_CALL, TOOL, ROME)), stop=StopReason.TOOL_CALL
    ),
    "tool without arguments": Said(calls=((CALL, OTHER_TOOL, {}),), stop=StopReason.TOOL_CALL),
    "thinking": Said(thinking=THOUGHT, text="Hello!", output_tokens=9, thinking_tokens=4),
    "citations": Said(text="It is 4.0.6.", citations=((PAGE, PAGE_TITLE, "It is 4.0.6."),)),
    "structured output": Said(text=json.dumps(PARIS)),
    "refusal": Said(refusal="I will not help with this.", stop=StopReason.REFUSAL),
    "refusal midway": Said(text="First, take", stop=StopReason.REFUSAL),
    "usage": Said(text="Hi", input_tokens=100, cached_tokens=60, written_tokens=30, output_tokens=7, thinking_tokens=2),
    "empty": Said(),
    "stop at a limit": Said(text="Hello th", stop=StopReason.LENGTH),
    "stop at a sequence": Said(text="Hello ", stop=StopReason.STOP_SEQUENCE),
    "stop at a full context": Said(text="Hello th", stop=StopReason.CONTEXT_FULL),
}
"""Cases with an answer of their own; the others are answered with `text`."""

ERRORS = {
    "invalid": "max_tokens: too many",
    "bad key": "that key is wrong",
    "unpaid": "the bill is not paid",
    "out of quota": "the quota is used up",
    "not found": "no such model",
    "too large": "too many bytes",
    "rate limit": "slow down",
    "overloaded": "too many others",
    "failed": "it broke",
}
"""The words of a provider's error, by name."""
WAITS_S = {"rate limit": "7"}
"""`retry-after` of those that have one."""
MORE_WAITS_S = {("gemini", "out of quota"): "3600"}
"""The same of one wire's. Google says that it is the day's quota: then it is a long wait, and not an empty account."""
FINAL = frozenset({"unpaid", "out of quota"})
"""Those that no client should try again."""

REQUESTS = (
    "text",
    "system",
    "system amid the turns",
    "sampling",
    "a stop sequence",
    "tools",
    "parallel tools",
    "tool without arguments",
    "tool result",
    "tool result with text beside",
    "tool result that failed",
    "tool result with image",
    "image",
    "image url",
    "document",
    "document of text",
    "document url",
    "thinking",
    "no thinking",
    "structured output",
    "json without a schema",
    "prefill",
    "many stop sequences",
    "hot temperature",
    "top_k",
    "several answers",
    "logprobs",
    "audio",
    "prediction",
    "a tool of the vendor's",
    "a free-text tool",
    "a document to cite",
    "search results",
    "a file by id",
    "an image by file id",
    "a server-side thread",
    "a conversation kept elsewhere",
    "an item kept elsewhere",
    "a prompt kept elsewhere",
    "a history cut to fit",
    "tools of another server",
    "a warmed cache",
    "a cache hint",
    "citations",
    "refusal",
    "refusal midway",
    "usage",
    "empty",
    "stop at a limit",
    "stop at a sequence",
    "stop at a full context",
)
"""All cases. A dialect that cannot say one leaves it out of its own list."""


def answer_of(case: str) -> Said:
    """What the provider answers in this case."""
    return ANSWERS.get(case, ANSWERS["text"])
