"""Recorded Chat Completions traffic of OpenAI and of servers compatible with it, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[3] / "shared" / "recordings"
FOLDERS = ("openai", "azure", "compat-*", "gemini", "_responses_only/*")


class Recording(msgspec.Struct):
    name: str
    provider: str
    status: int
    request: bytes | None
    response: bytes
    streamed: bool

    @property
    def body(self) -> Any:
        return json.loads(self.response)


def recordings() -> Iterator[Recording]:
    """Every recorded chat exchange; skips the test where the folder is absent."""
    if not ROOT.is_dir():
        pytest.skip("the recordings are not at hand")
    for folder in FOLDERS:
        for path in sorted(ROOT.glob(f"{folder}/chat_completions__*.json")):
            found = json.loads(path.read_bytes())
            request, response = found.get("request_body"), found["response_body"]
            yield Recording(
                name=path.name,
                provider=path.parent.name.removeprefix("compat-"),
                status=found.get("response_status") or 200,
                request=json.dumps(request).encode() if isinstance(request, dict) else None,
                response=response.encode() if isinstance(response, str) else json.dumps(response).encode(),
                streamed=isinstance(response, str) and "data:" in response,
            )
