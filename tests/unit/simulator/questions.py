"""What the tests ask the simulator, and what they expect of it."""

from __future__ import annotations

from typing import Any

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "integer"},
        "note": {"type": "string"},
    },
    "required": ["city", "unit", "days"],
}
ARGUMENTS = {"city": "example", "unit": "celsius", "days": 1}
ANTHROPIC_TOOLS: Any = [
    {"name": "clock", "input_schema": {"type": "object"}},
    {"name": "weather", "description": "how warm it is", "input_schema": WEATHER},
]
OPENAI_TOOLS: Any = [
    {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "weather", "parameters": WEATHER}},
]
RESPONSES_TOOLS: Any = [
    {"type": "function", "name": "clock", "parameters": {"type": "object"}},
    {"type": "function", "name": "weather", "parameters": WEATHER},
    {"type": "web_search"},
]
HEADERS = {"authorization": "Bearer sk-test", "anthropic-version": "2023-06-01"}
MESSAGES, CHAT = "/anthropic/v1/messages", "/openai/v1/chat/completions"
RESPONSES, EMBEDDINGS = "/openai/v1/responses", "/openai/v1/embeddings"
TEXT = 'You said: "hello". The simulator gives the same answer to the same question.'


def said(text: str = "hello") -> Any:
    return [{"role": "user", "content": text}]


def asked(model: str = "m", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 1000, "messages": said(), **more}


def put(model: str = "m", **more: Any) -> dict[str, Any]:
    """The question of `asked`, to the Responses API."""
    return {"model": model, "input": "hello", **more}
