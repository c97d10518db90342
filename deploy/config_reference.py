"""The reference of config.json, from the docstrings of the structs it is read into: `hermod config reference`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import msgspec

from shared import governance_settings as governance
from shared import network_settings as network
from shared import provider_settings as provider
from shared import settings
from shared.cache_settings import CacheSettings
from shared.price_settings import SetPrice
from shared.webhook_settings import WebhookSettings

_KEY = "providers.NAME.keys[]"
_VIRTUAL = "governance.virtual_keys[]"
_NETWORK = "providers.NAME.network_config"

SECTIONS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("client", settings.ClientSettings),
    ("client.header_filter_config", settings.HeaderFilter),
    (_VIRTUAL, governance.VirtualKey),
    (f"{_VIRTUAL}.provider_configs[]", governance.ProviderConfig),
    ("…budgets[]", governance.Budget),
    ("…rate_limit", governance.RateLimit),
    ("governance.teams[]", governance.Team),
    ("governance.customers[]", governance.Customer),
    ("admin", governance.AdminSettings),
    ("providers.NAME", provider.ProviderSettings),
    (_KEY, provider.ProviderKey),
    (f"{_KEY}.rate_limits", provider.RateLimits),
    (f"{_KEY}.azure_key_config", provider.AzureKey),
    (f"{_KEY}.vertex_key_config", provider.VertexKey),
    (f"{_KEY}.bedrock_key_config", provider.BedrockKey),
    (f"{_KEY}.bedrock_key_config.batch_s3_config", provider.BatchBucket),
    (_NETWORK, provider.NetworkSettings),
    (f"{_NETWORK}.stream_throughput_guard", network.StreamGuard),
    ("providers.NAME.proxy_config", network.ProxySettings),
    ("redis", settings.RedisSettings),
    ("object_store", settings.ObjectStoreSettings),
    ("encryption", settings.EncryptionSettings),
    ("worker", settings.WorkerSettings),
    ("prices.PROVIDER/MODEL", SetPrice),
    ("webhooks[]", WebhookSettings),
    ("cache", CacheSettings),
)
"""Where each struct stands in the file, in the order in which they are told."""

_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*?)(?=^ {4}\w|\Z)", re.MULTILINE | re.DOTALL)
_KEY_NAME = re.compile(r"(?:^|; )key `(\w+)`(?: (\([^)]*\)))?(?:: )?")
_PATH = re.compile(r"^`(?:providers\.\{name\}\.|client\.header_filter_config\.|client\.)?([\w.\[\]]+)`[:;,] ?")
_HERE = re.compile(r" Here [^.]*\.$")
"""What an attribute is where the file has something else, in another unit."""
_NOT_IN_THE_FILE = frozenset(
    {
        "AdminSettings.password",
        "NetworkSettings.proxy",
        "ProviderKey.azure, vertex, bedrock",
        "ProviderSettings.keys",
        "ProviderSettings.name",
        "ProviderSettings.network",
        "SetPrice.provider, model, prefix",
        "VirtualKey.delete_after_expire",
        "VirtualKey.hash",
    }
)
"""Attributes that hold a section of their own, or nothing that an operator writes there."""


def reference() -> str:
    """Markdown, a list for each section."""
    return "\n".join(line for path, struct in SECTIONS for line in _section(path, struct))


def _section(path: str, struct: type[msgspec.Struct]) -> Iterator[str]:
    yield f"**`{path}`**\n"
    for name, told in attributes(struct):
        if f"{struct.__name__}.{name}" not in _NOT_IN_THE_FILE:
            shown, text = _named(name, _HERE.sub("", told))
            yield f"- `{shown}`: {text}"
    yield ""


def attributes(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Name and description of each, those of the struct it is made from last."""
    _, _, told = inspect.cleandoc(struct.__doc__ or "").partition("Attributes:\n")
    for found in _ATTRIBUTE.finditer(told):
        yield found[1], " ".join(found[2].split())
    base = struct.__bases__[0]
    if "Attributes:" in (base.__doc__ or ""):
        yield from attributes(base)


def _named(name: str, told: str) -> tuple[str, str]:
    """The name in the file and the description without it."""
    if key := _KEY_NAME.search(told):
        return key[1], told.replace(key[0], f"{key[2]} " if key[2] else "", 1).strip()
    if path := _PATH.match(told):
        return path[1], told[path.end() :]
    return name, told
