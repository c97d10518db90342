"""A client of a running gateway that checks every answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from shared.sse import FrameReader
from tests.unit.fuzz.checks import is_error
from tests.unit.fuzz.posts import KNOWN

Lines = list[tuple[str, str]]

ANSWERED_WITHIN_S = 15.0
"""Longer than it takes until a job that took its workers down thrice is given up."""
_KINDS = {"msgbatch": "batch", "batch": "batch", "file": "file", "upload": "upload", "part": "part"}
"""What an id is of, by how it begins."""


@dataclass
class Answer:
    """Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def pending(self) -> bool:
        return self.headers.get("x-bf-async-status") in {"queued", "running"}

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def fields(self) -> dict[str, Any]:
        """The body, where it is an object and no stream."""
        found = json.loads(self.body) if self.media_type == "application/json" else None
        return found if isinstance(found, dict) else {}


class Peer:
    """One connection, and the ids of the latest things that the gateway made."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=ANSWERED_WITHIN_S)
        self._known = dict.fromkeys(KNOWN, "0")

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, lines: Lines, body: bytes = b"") -> Answer:
        """The answer, which is checked. Names of `posts.KNOWN` in path and body become ids."""
        for name, found in self._known.items():
            path, body = path.replace(name, found), body.replace(name.encode(), found.encode())
        try:
            answer = self._asked(method, path, lines, body)
        except (HTTPException, OSError):
            self._connection.close()
            raise
        check(path, answer)
        self._remember(answer)
        return answer

    def _asked(self, method: str, path: str, lines: Lines, body: bytes) -> Answer:
        connection = self._connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in [("content-length", str(len(body))), *lines]:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        got = connection.getresponse()
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())

    def _remember(self, answer: Answer) -> None:
        self._known["known-job"] = answer.headers.get("x-bf-job-id", self._known["known-job"])
        made = str(answer.fields.get("id", ""))
        kind = _KINDS.get(made.replace("-", "_").partition("_")[0])
        if kind:
            self._known[f"known-{kind}"] = made


def check(path: str, answer: Answer) -> None:
    """No failure of the gateway's own, and nothing that cannot be read."""
    assert answer.status < 500, answer
    assert "x-injected" not in answer.headers
    if path.startswith("/console"):
        assert answer.media_type == "text/html" or not answer.body
    elif answer.status >= 400:
        is_error("anthropic" if path.startswith("/anthropic") else "openai_chat", answer.body)
    elif answer.media_type == "text/event-stream":
        reader = FrameReader()
        assert [*reader.feed(answer.body), *reader.close()]
    else:
        assert answer.fields.get("status_code", 0) < 500, answer
