"""What the tests ask, and the two secrets that every request of theirs carries."""

from typing import Any

PROMPT = "prompt-sentinel-5f1c9a: what is two and two?"
KEY = "sk-key-sentinel-77c0e2b4"

CLAUDE = "claude-haiku-5-5"
GPT = "gpt-4o-mini"

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG of one pixel, in base64."""

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
"""The schema of a tool's arguments."""
USE_WEATHER = f"{PROMPT} Please use the tool `weather`."


def turn(content: Any = PROMPT) -> list[dict[str, Any]]:
    """The messages of a conversation that begins."""
    return [{"role": "user", "content": content}]


def message(**changes: Any) -> dict[str, Any]:
    """A valid body for `POST /v1/messages`; a field set to None is left out."""
    return _body({"model": CLAUDE, "max_tokens": 100, "messages": turn()}, changes)


def completion(**changes: Any) -> dict[str, Any]:
    """A valid body for `POST /chat/completions`; a field set to None is left out."""
    return _body({"model": GPT, "messages": turn()}, changes)


def _body(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}
