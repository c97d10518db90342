"""Google's tokens, through google-auth: https://google-auth.readthedocs.io."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
import google.oauth2.credentials
import google.oauth2.service_account

from shared.provider_settings import VertexKey
from worker.signing.session import TokenSession
from worker.signing.token import Away, Refused

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_UNSAID_S = 600.0
"""Life of a token that does not say when it ends; Google's live for an hour."""


def token(key: VertexKey) -> tuple[str, float]:
    """A new token and the seconds it is good for. Blocks. Raises Refused, Away."""
    try:
        with TokenSession() as session:
            credentials = _credentials(key)
            credentials.refresh(google.auth.transport.requests.Request(session))
    except google.auth.exceptions.TransportError as error:
        raise Away from error
    except google.auth.exceptions.GoogleAuthError as error:
        if error.retryable:
            raise Away from error
        raise Refused(f"Google gives it no token ({type(error).__name__})") from error
    except (ValueError, KeyError, TypeError):
        raise Refused("auth_credentials are not those of a service account") from None  # they may be quoted
    if credentials.expiry is None:
        return credentials.token, _UNSAID_S
    left = credentials.expiry - dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return credentials.token, left.total_seconds()


def _credentials(key: VertexKey) -> Any:
    if key.auth_credentials is None:
        credentials, _ = google.auth.default(scopes=[SCOPE])
        return credentials
    said = json.loads(key.auth_credentials)
    if said.get("type") == "authorized_user":
        return google.oauth2.credentials.Credentials.from_authorized_user_info(said, [SCOPE])  # type: ignore[no-untyped-call]
    return google.oauth2.service_account.Credentials.from_service_account_info(said, scopes=[SCOPE])  # type: ignore[no-untyped-call]
