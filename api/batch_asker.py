"""Who wants a batch, and how it is to be run: read off a request's headers and query."""

from __future__ import annotations

import msgspec

from api.auth import Caller
from api.headers import Wishes, forwarded, refuse_async, wishes
from api.submit import AnyRequest, Gateway
from shared.batches import NATIVE_PROVIDERS, Batch
from shared.errors import InvalidRequest, NotPermitted
from shared.ids import now_ms
from shared.settings import Settings

MODES = ("auto", "native", "direct")


class Asker(msgspec.Struct, frozen=True):
    """Who wants a batch, and what the headers say of it.

    Attributes:
        provider: who serves a model without a prefix; empty when none is named.
        mode: how it is to be run, one of MODES; empty when none is named.
        headers: those that may travel upstream.
        began_ms: Unix milliseconds at which it was asked for.
    """

    caller: Caller
    wish: Wishes
    provider: str
    mode: str
    headers: dict[str, str]
    began_ms: int


def read_asker(request: AnyRequest, gateway: Gateway) -> Asker:
    """Raises NotAuthenticated, InvalidRequest naming the header, NotPermitted."""
    settings, headers = gateway.settings, dict(request.headers)
    refuse_async(headers)
    mode = headers.get("x-bf-batch-mode", "").strip().lower()
    if mode and mode not in MODES:
        name = "x-bf-batch-mode"
        raise InvalidRequest(f"{name}: expected one of {', '.join(MODES)}, got {mode[:40]!r}.", param=name)
    caller = gateway.door.caller(headers)
    provider = configured(settings, "provider", request.query_params.get("provider"))
    return Asker(
        caller=caller,
        wish=wishes(headers, settings.client),
        provider=provider or configured(settings, "x-model-provider", headers.get("x-model-provider")),
        mode=mode_for(caller, mode),
        headers=forwarded(headers, settings.client),
        began_ms=now_ms(),
    )


def configured(settings: Settings, where: str, name: str | None) -> str:
    """The provider called `name` at `where`, empty for none. Raises InvalidRequest for one that is not there."""
    if name and name not in settings.providers:
        raise InvalidRequest(
            f"{where}: provider {name[:80]!r} is not configured on this gateway; add its key or name another.",
            param=where,
            code="provider_not_configured",
        )
    return name or ""


def mode_for(caller: Caller, asked: str = "") -> str:
    """What a provider runs by itself cannot be stopped or charged request by request: a limited key's runs here.

    Raises NotPermitted.
    """
    if caller.grant is None or not caller.grant.is_limited:
        return asked
    if asked == "native":
        name = "x-bf-batch-mode"
        message = f"{name}: batches of a virtual key with budgets, rate limits or a list of models run directly."
        raise NotPermitted(message, param=name, code="native_blocked")
    return "direct"


def check_native(batch: Batch) -> None:
    """Raises InvalidRequest when a provider's batch API is wanted that there is not."""
    if batch.mode == "native" and batch.provider not in NATIVE_PROVIDERS:
        name, offered = "x-bf-batch-mode", ", ".join(sorted(NATIVE_PROVIDERS))
        raise InvalidRequest(f"{name}: {batch.provider!r} has no batch API, only {offered} have.", param=name)
