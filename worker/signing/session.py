"""How the libraries that fetch tokens reach out."""

from __future__ import annotations

from typing import Any

import requests

TIMEOUT_S = 10.0


class TokenSession(requests.Session):
    """Follows no redirect: what proves who we are goes to the address of the credential only."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        """As the base, whatever the caller thinks of redirects and time."""
        return super().request(*arguments, **{**options, "allow_redirects": False, "timeout": TIMEOUT_S})
