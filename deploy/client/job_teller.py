"""A job's events for people: what happens to it a line each, its answer as the text it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from deploy.client.job_events import Event
from deploy.client.texts import plain


def attempt_words(attempt: dict[str, Any]) -> str:
    """One try: at what, and why it failed."""
    words = f"{attempt['number']}: {attempt['target']}"
    if reason := attempt["reason"]:
        status = f" (status {reason['upstream_status']})" if reason["upstream_status"] else ""
        words += f", {reason['kind']}{status}: {reason['message']}"
    return f"{words} -> {attempt['decision']}" if attempt["decision"] else words


_WHY = {
    "rate_limited": "the provider's rate limit",
    "provider_busy": "the provider is busy",
    "provider_failing": "the provider fails",
    "provider_overloaded": "the provider is overloaded",
    "key_set_aside": "the provider refuses the key",
    "key_spent": "the key's account has nothing left to spend",
    "retry": "the last attempt failed",
}


def waiting_words(waiting: dict[str, Any]) -> str:
    """Why a job is not running."""
    match waiting["reason"]:
        case "running_cap":
            return "as many jobs of its owner run as may"
    if waiting["until"]:
        why = _WHY.get(waiting["reason"], "")
        return f"until {waiting['until']}{why and f': {why}'}"
    return f"in line, at place {waiting['position']}" if waiting["position"] else "in line"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "queued": lambda data: f"queued at {data['at']}",
    "waiting": lambda data: f"waiting {waiting_words(data)}",
    "running": lambda data: f"running since {data['at']}",
    "attempt": lambda data: f"attempt {attempt_words(data)}",
    "succeeded": lambda data: f"succeeded at {data['completed_at']}",
    "failed": lambda data: f"failed: {_why(data)}",
    "expired": lambda data: f"expired: {_why(data)}",
    "cancelled": lambda data: f"cancelled at {data['completed_at']}",
}


_THOUGHTS = ("thinking", "redacted_thinking")


class Teller:
    """Prints events; text goes on in its line, everything else has one of its own."""

    def __init__(self) -> None:
        self._in_text = False

    def tell(self, event: Event) -> None:
        """Print the event; those of a stream that hold no text are left out."""
        if words := _WORDS.get(event.kind):
            click.echo(("\n" if self._in_text else "") + plain(words(event.data)))
            self._in_text = False
        elif event.kind == "answer":
            click.echo(plain(answer_text(event.data)))
        elif text := plain(text_delta(event.data)):
            click.echo(text, nl=False)
            self._in_text = True


def text_delta(data: Any) -> str:
    """The text that an event of any surface's stream adds; empty for none."""
    match data:
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
        case {"type": "response.output_text.delta", "delta": str(text)}:
            return text
        case {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
    return ""


def answer_text(body: Any) -> str:
    """The text of any surface's answer; an answer that is more than text and thoughts, as it is."""
    match body:
        case {"choices": [{"message": {"content": str(text)} as message}]} if not message.get("tool_calls"):
            return text
        case {"content": [*parts]} | {"output": [{"type": "message", "content": [*parts]}]}:
            pass
        case {"output": [{"type": "reasoning"}, {"type": "message", "content": [*parts]}]}:
            pass
        case _:
            parts = []
    spoken = [part for part in parts if part["type"] not in _THOUGHTS]
    if spoken and all("text" in part for part in spoken):
        return "".join(part["text"] for part in spoken)
    return msgspec.json.format(msgspec.json.encode(body)).decode()


def _why(job: dict[str, Any]) -> str:
    return str(job["error"]["message"]) if job["error"] else "the gateway does not say why"
