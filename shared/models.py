"""`provider/model` names."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from shared.errors import InvalidRequest
from shared.provider_settings import PROVIDER_NAMES

LONGEST_NAME = 512
"""Characters; names of cloud providers' models and deployments have up to 300."""


def split_model(name: str, configured: Container[str], default_provider: str) -> tuple[str, str]:
    """Split at the first `/` when the prefix is a provider; else the default provider serves the whole string.

    `meta-llama/Llama-3` stays whole. Raises InvalidRequest when the provider is known but not configured, and for what
    is no name at all.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(f"model: expected up to {LONGEST_NAME} printable characters.", param="model")
    prefix, slash, rest = name.partition("/")
    if slash and prefix in configured:
        provider, model = prefix, rest
    elif slash and prefix in PROVIDER_NAMES:
        raise _unknown(prefix)
    else:
        provider, model = default_provider, name
    if provider not in configured:
        raise _unknown(provider)
    if not model:
        raise InvalidRequest(f"model: {name!r} names a provider but no model.", param="model")
    return provider, model


def _unknown(provider: str) -> InvalidRequest:
    return InvalidRequest(
        f"model: provider {provider!r} is not configured on this gateway; add its key or choose another prefix.",
        param="model",
        code="provider_not_configured",
    )


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model of one provider, as the `models` operation's outcome lists them (JSON array).

    Attributes:
        provider: who serves it.
        id: the provider's own name for it, or an alias of it here, without prefix.
        wire: which wire `raw` is in.
        raw: the provider's entry as it came. (UNSET, not None: msgspec cannot decode `Raw | None`.)
    """

    provider: str
    id: str
    wire: str
    display_name: str | None = None
    created_s: int | None = None
    owned_by: str | None = None
    raw: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
