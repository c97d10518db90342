"""Entra's tokens for Azure, through msal: https://learn.microsoft.com/entra/msal/python."""

from __future__ import annotations

import re

import msal  # type: ignore[import-untyped]
import requests

from shared.provider_settings import AzureKey
from worker.signing.session import TokenSession
from worker.signing.token import Away, Refused

SCOPE = "https://cognitiveservices.azure.com/.default"
_CODE = re.compile(r"[a-z_]{1,40}")
"""An OAuth error code; what else is said may quote the credential."""


def token(key: AzureKey) -> tuple[str, float]:
    """A new token and the seconds it is good for. Blocks. Raises Refused, Away."""
    try:
        with TokenSession() as session:
            application = msal.ConfidentialClientApplication(
                key.client_id,
                client_credential=key.client_secret,
                authority=f"{key.authority}/{key.tenant_id}",
                instance_discovery=False,  # the operator names the authority
                http_client=session,
            )
            found = application.acquire_token_for_client([SCOPE])
    except requests.RequestException as error:
        raise Away from error
    except (ValueError, KeyError, RuntimeError):
        raise Refused("Entra knows no such tenant_id") from None  # it may be quoted
    if "access_token" not in found:
        code = str(found.get("error"))
        raise Refused(f"Entra gives it no token ({code if _CODE.fullmatch(code) else 'no reason'})")
    return found["access_token"], float(found["expires_in"])
