"""The recordings folder beside the project, when it is there."""

import base64
import functools
import json
from pathlib import Path

import msgspec
import pytest

from deploy.simulator import bedrock_frames
from shared.sse import write
from worker.providers.base import Row
from worker.providers.catalog import ROWS, custom

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "recordings"

COUNTS: list[str] = []
"""What the run says at its end."""

KINDS = {
    "messages": "anthropic",
    "vertex_raw_predict": "anthropic",
    "chat_completions": "openai_chat",
    "converse": "bedrock",
    "converse_stream": "bedrock",
    "generate_content": "gemini",
    "stream_generate_content": "gemini",
}
_SPEAKS_AS = {"anthropic": "anthropic", "bedrock": "bedrock", "gemini": "gemini", "openai_chat": "openai"}
INVOKED = "invoke"
"""Bedrock's answers in the makers' own forms; those of Anthropic's and Amazon's chat models are two of the above."""


class Recording(msgspec.Struct):
    """One request with its answer."""

    id: str
    provider: str
    kind: str
    features: list[str]
    response_status: int | None
    response_body: msgspec.Raw = msgspec.Raw(b"null")
    response_body_encoding: str | None = "json"
    response_headers: dict[str, str] | None = None
    request_body: msgspec.Raw = msgspec.Raw(b"null")
    request_body_encoding: str | None = "json"

    @property
    def wire(self) -> str:
        return KINDS.get(self.kind) or maker_of(self.answer)

    @property
    def vendor(self) -> str:
        """The provider's name in the catalog, when it is there."""
        return self.provider.removeprefix("compat-")

    @property
    def row(self) -> Row:
        """How the gateway speaks to who answered; one it does not know, or knows on another wire, is a custom one."""
        row = ROWS.get(self.vendor)
        return row if row and row.wire == self.wire else custom(self.vendor, _SPEAKS_AS[self.wire])

    @property
    def streamed(self) -> bool:
        return "stream" in self.features

    @property
    def answer(self) -> bytes:
        found = _bytes(self.response_body, self.response_body_encoding).lstrip()  # one begins with a stray space
        if self.kind == "stream_generate_content" and found.startswith(b"["):
            return _as_events(found)
        return _framed(found) if self.kind == "converse_stream" and self.response_body_encoding == "text" else found

    @property
    def question(self) -> bytes:
        if self.kind in {INVOKED, "vertex_raw_predict"}:  # not a request of the wire: it lacks the model
            return b""
        return _bytes(self.request_body, self.request_body_encoding)

    @property
    def answered(self) -> bool:
        return bool(self.response_status) and self.response_status < 300 and len(self.answer) > 4


def _bytes(raw, encoding):
    if encoding is None:
        return b""
    if encoding == "json":
        return bytes(raw)
    text = json.loads(bytes(raw)) or ""
    return base64.b64decode(text) if encoding == "base64" else text.encode()


def _framed(lines):
    """Events that were kept one to a line, `{"messageStart": {…}}`, as they are on the wire."""
    events = [json.loads(line) for line in lines.splitlines()]
    return b"".join(
        bedrock_frames.event(name, json.dumps(said).encode()) for each in events for name, said in each.items()
    )


def _as_events(listed):
    """A stream that was not asked for as events is one list of the same chunks."""
    return b"".join(write(bytes(chunk)) for chunk in msgspec.json.decode(listed, type=list[msgspec.Raw]))


def maker_of(answer):
    """The wire whose form an invoked model's answer has, empty for one that is no wire's."""
    fields = json.loads(answer)
    if fields.get("type") == "message":
        return "anthropic"
    return "bedrock" if "message" in fields.get("output", ()) else ""


def _among(entry, folder):
    """The recording, unless it is of a kind that is none of the wires'."""
    if entry["kind"] not in KINDS and entry["kind"] != INVOKED:
        return []
    found = msgspec.json.decode((folder / entry["file"]).read_bytes(), type=Recording)
    return [found] if entry["kind"] in KINDS or (found.answered and found.wire) else []


@functools.cache
def recordings() -> tuple[Recording, ...]:
    """Every recording of the four chat wires, whoever speaks them."""
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings: {FOLDER} is absent")
    found = []
    for index in (FOLDER / "index.jsonl", FOLDER / "_responses_only" / "index.jsonl"):
        for line in index.read_bytes().splitlines():
            found += _among(json.loads(line), FOLDER)
    assert found
    return tuple(found)
