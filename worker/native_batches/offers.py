"""Who has a batch API, and when it is used without being asked for."""

from __future__ import annotations

from msgspec.structs import replace

from shared.provider_settings import ProviderKey
from worker.native_batches.anthropic import ANTHROPIC
from worker.native_batches.bedrock import Bedrock
from worker.native_batches.gemini import GEMINI
from worker.native_batches.openai import OPENAI
from worker.native_batches.wires import BatchWire
from worker.routing import Router, Target

_WIRES: dict[str, BatchWire] = {"anthropic": ANTHROPIC, "gemini": GEMINI, "openai": OPENAI}
"""By a row's `batches`; Bedrock's depends on the key."""


def offers(router: Router, mode: str) -> dict[str, BatchWire]:
    """The configured providers whose batch API serves a batch of `mode`.

    With `native` all that have one. With `auto` those at the vendor's own address: whether a server elsewhere that
    speaks its wire has the batch API too cannot be known, Azure's takes only deployments made for batches, and
    Bedrock's takes few of its models, and no batch of less than a hundred requests.
    """
    if mode == "direct":
        return {}
    found = {}
    for name in router.providers:
        target, keys = router.any_target(name), batch_keys(router, name)
        if target.row.batches and keys and (mode == "native" or target.base_url == target.row.base_url):
            key = next(key for key in router.providers[name].keys if key.name in keys)
            found[name] = wire_of(replace(target, key=key))
    return found


def wire_of(target: Target) -> BatchWire:
    """The batch API of the target's provider, as its key uses it, which is one of `batch_keys`."""
    key = target.key.bedrock
    if key is None or key.batch is None:
        return _WIRES[target.row.batches]
    configured = target.provider.network.base_url is not None
    return Bedrock(key.batch, "" if configured else f"https://bedrock.{key.region}.amazonaws.com")


def batch_keys(router: Router, provider: str) -> frozenset[str]:
    """Names of the keys that batches may use.

    Not those at Azure's older addresses, which differ by model, nor those of Bedrock without a bucket, or without the
    credentials that S3 wants.
    """
    return frozenset(key.name for key in router.providers[provider].keys if key.batches and _can(key))


def _can(key: ProviderKey) -> bool:
    if key.bedrock is not None:
        return key.bedrock.batch is not None and not key.value
    return not (key.azure and key.azure.api_version)
