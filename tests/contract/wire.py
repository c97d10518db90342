"""Plain HTTP, for what the SDKs cannot or would not send, and the simulator's ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Answer:
    """Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """One request on a connection of its own. `body` is bytes as they are, or a value to send as JSON."""
    connection = connect(url, timeout_s)
    sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    named = {"content-type": "application/json", **(headers or {})} if sent is not None else dict(headers or {})
    try:
        connection.request(method, urlsplit(url).path + path, sent, named)
        got = connection.getresponse()
        return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    finally:
        connection.close()


def connect(url: str, timeout_s: float = TIMEOUT_S) -> HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)


@dataclass(frozen=True)
class Ledger:
    """What reached the simulated provider. A test marks its requests with a user of its own."""

    simulator: str

    def calls(self, user: str) -> list[dict[str, Any]]:
        """Every call that carried this `user` (`metadata.user_id` or `user`), oldest first."""
        entries: list[dict[str, Any]] = ask(self.simulator, "GET", f"/__ledger?user={user}").json["entries"]
        return entries
