"""Where a call goes: the row's address, the operator's, or the key's own. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from shared.provider_settings import ProviderKey
from worker.providers.base import Row


def base_url(row: Row, configured: str | None, key: ProviderKey, model: str) -> str:  # noqa: ARG001 - some keys have their own
    """Where the row's API is, no trailing slash; empty when it has no default and nothing is configured.

    `model` is the provider's own name. A configured origin without a path gets the row's own path:
    `https://me.openai.azure.com` is enough for Azure.
    """
    if not configured:
        return row.base_url or ""
    url = configured.rstrip("/")
    path = row.api_path or urlsplit(row.base_url or "").path
    return url if urlsplit(url).path else url + path
