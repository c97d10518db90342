"""Who is asking: headers to a Caller."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.errors import NotAuthenticated
from shared.ids import digest
from shared.settings import ClientSettings

ANONYMOUS = "anonymous"
KEY_PREFIX = "sk-bf-"
_SDK_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")


class Caller(msgspec.Struct, frozen=True):
    """The owner of what a request creates: a hash of the virtual key, never the key."""

    owner: str


def caller(headers: Mapping[str, str], client: ClientSettings) -> Caller:
    """The caller of a request: `x-bf-vk`, or an SDK's key header whose value begins `sk-bf-`.

    Other values in the SDKs' key headers are dummies that keep the SDK content; they are ignored.

    Raises:
        NotAuthenticated: no virtual key although `client.enforce_auth_on_inference` asks for one.
    """
    key = headers.get("x-bf-vk") or _sdk_key(headers)
    if key:
        return Caller("vk:" + digest(key.encode())[:32])
    if client.enforce_auth_on_inference:
        raise NotAuthenticated(
            "A virtual key is required: send it as `x-bf-vk`, or as the SDK's api_key (it begins `sk-bf-`).",
            code="virtual_key_required",
        )
    return Caller(ANONYMOUS)


def _sdk_key(headers: Mapping[str, str]) -> str | None:
    for name in _SDK_HEADERS:
        value = headers.get(name, "")
        value = value[7:].lstrip() if value[:7].lower() == "bearer " else value
        if value.startswith(KEY_PREFIX):
            return value
    return None
