"""Which pages of other sites may call the gateway from a browser: Bifrost's rules.

Pages of this machine always, others by `client.allowed_origins`; the origin is echoed, and a preflight is answered with
200 or 403. Not the administration, the console and the metrics: a page of another site has no business there, whatever
the browser would send along. What a browser sends without a preflight, as a form does, `api/auth.py` refuses.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from shared.settings import ClientSettings

_HERE = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_CLOSED = ("/admin", "/api", "/console", "/metrics")
_METHODS = b"GET, POST, PUT, DELETE, PATCH, OPTIONS, HEAD"
_SHOWN = ", ".join(
    (
        *("request-id", "x-request-id", "x-bf-job-id", "x-bf-async-status"),
        *("retry-after", "retry-after-ms", "x-should-retry"),
        *("x-bf-provider", "x-bf-model", "x-bf-key", "x-bf-fallback-index", "x-bf-dropped", "x-bf-models-missing"),
        *("x-bf-cache-hit", "x-bf-cache-id", "x-bf-cache-similarity", "x-bf-cache-threshold"),
        *("accept-ranges", "content-range", "content-disposition"),
    )
).encode()
"""What of an answer a page's script may read besides what browsers always show: all that answers carry of ours. Each by
its name, for with credentials a browser takes `*` literally."""
_MAX_AGE_S = b"86400"

Headers = list[tuple[bytes, bytes]]


class Origins:
    """The sites whose pages may call: `*` in an entry of `client.allowed_origins` stands for any part of a host."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._any = "*" in allowed
        self._rules = [_HERE, *(re.compile(re.escape(each).replace(r"\*", "[A-Za-z0-9.-]+")) for each in allowed)]

    def __contains__(self, origin: str) -> bool:
        return self._any or any(rule.fullmatch(origin) for rule in self._rules)


class Cors:
    """Wraps the application. What names no origin passes untouched."""

    def __init__(self, app: ASGIApp, client: ClientSettings) -> None:
        self._app = app
        self._origins = Origins(client.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        origin = _value(scope, b"origin") if scope["type"] == "http" else b""  # type: ignore[comparison-overlap]
        if not origin:
            await self._app(scope, receive, send)
            return
        allowed = not scope["path"].startswith(_CLOSED) and origin.decode("latin-1") in self._origins
        wanted = _value(scope, b"access-control-request-method")
        if scope.get("method") == "OPTIONS" and wanted:
            await _preflight(scope, send, origin if allowed else b"")
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = _of(origin) if allowed else []
                message["headers"] = [*message["headers"], (b"vary", b"Origin"), *more]
            await send(message)

        await self._app(scope, receive, named)


async def _preflight(scope: Scope, send: Send, origin: bytes) -> None:
    """200 for an allowed origin, 403 for an empty one."""
    headers: Headers = [(b"content-length", b"0"), (b"vary", b"Origin")]
    if origin:
        headers += [
            *_of(origin),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _value(scope, b"access-control-request-headers") or b"content-type"),
            (b"access-control-max-age", _MAX_AGE_S),
        ]
    await send({"type": "http.response.start", "status": 200 if origin else 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _of(origin: bytes) -> Headers:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", _SHOWN),
    ]


def _value(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
