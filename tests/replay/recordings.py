"""The recordings folder beside the project, when it is there."""

import base64
import functools
import json
from pathlib import Path

import msgspec
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "recordings"

COUNTS: list[str] = []
"""What the run says at its end."""

KINDS = {"messages": "anthropic", "chat_completions": "openai_chat"}


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
        return KINDS[self.kind]

    @property
    def streamed(self) -> bool:
        return "stream" in self.features

    @property
    def answer(self) -> bytes:
        return _bytes(self.response_body, self.response_body_encoding).lstrip()  # one begins with a stray space

    @property
    def question(self) -> bytes:
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


@functools.cache
def recordings() -> tuple[Recording, ...]:
    """Every recording of the two chat wires, whoever speaks them."""
    if not FOLDER.is_dir():
        pytest.skip(f"no recordings: {FOLDER} is absent")
    found = []
    for line in (FOLDER / "index.jsonl").read_bytes().splitlines():
        entry = json.loads(line)
        if entry["kind"] in KINDS:
            found.append(msgspec.json.decode((FOLDER / entry["file"]).read_bytes(), type=Recording))
    responses_only = FOLDER / "_responses_only" / "index.jsonl"
    for line in responses_only.read_bytes().splitlines():
        entry = json.loads(line)
        if entry["kind"] in KINDS:
            found.append(msgspec.json.decode((FOLDER / entry["file"]).read_bytes(), type=Recording))
    assert found
    return tuple(found)
