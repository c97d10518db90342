"""Who may manage the gateway: a bearer token, or without one whoever is on this machine."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from shared.errors import NotAuthenticated, NotPermitted
from shared.governance_settings import AdminSettings

_BEARER = "bearer "
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class AdminDoor:
    """Guards every route of the administration; see `api/routes/admin.py`."""

    def __init__(self, settings: AdminSettings) -> None:
        self._token = settings.token.encode()

    def guard(self, connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        """Litestar's guard.

        Raises:
            NotAuthenticated: the token is missing or another.
            NotPermitted: there is no token, and the request does not come from this machine.
        """
        if not self._token:
            _check_local(connection)
        elif not self.knows(connection):
            raise NotAuthenticated(
                "The administration needs its token: send `Authorization: Bearer …` with admin.token of the "
                "configuration (HERMOD_ADMIN_TOKEN).",
                code="admin_token_required",
            )

    def knows(self, connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
        """Whether there is a token, and the request brings it."""
        sent = connection.headers.get("authorization", "")
        token = sent[len(_BEARER) :].strip() if sent.lower().startswith(_BEARER) else ""
        return bool(self._token) and hmac.compare_digest(token.encode(), self._token)


def _check_local(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raises NotPermitted for what came over the network, over a proxy, or out of a page of another site.

    A browser can be made to send requests to this machine: such a one names the site it comes from (`Origin`), or, when
    the site's name leads here (DNS rebinding), that name as `Host`.
    """
    headers = connection.headers
    origin = headers.get("origin")
    local = (
        connection.client is not None
        and _is_loopback(connection.client.host)
        and not any(name in headers for name in _FORWARDED)
        and _is_loopback(_host_of(f"//{headers.get('host', '')}"))
        and (origin is None or _is_loopback(_host_of(origin)))
    )
    if not local:
        raise NotPermitted(
            "Without a token the administration is open to programs on the gateway's own machine only: set admin.token "
            "in the configuration, or HERMOD_ADMIN_TOKEN.",
            code="admin_local_only",
        )


def _host_of(url: str) -> str:
    """Empty for what is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
