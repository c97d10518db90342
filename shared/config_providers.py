"""Reads the section `providers` of config.json: Bifrost's shape."""

from __future__ import annotations

import difflib

from shared import bifrost_settings
from shared.config_section import Section
from shared.masked import SettingsError
from shared.provider_settings import PROVIDER_NAMES, NetworkSettings, ProviderKey, ProviderSettings

KEY_LESS = frozenset({"ollama", "vllm"})
"""Local servers, which ask for no credential."""

_NEEDS_BASE_URL = {
    "azure": "https://<resource>.openai.azure.com/openai/v1",
    "vertex": "https://<region>-aiplatform.googleapis.com/v1/projects/<project>/locations/<region>/endpoints/openapi",
}
_BASE_PROVIDER_TYPES = ("anthropic", "openai")
_NOT_SERVED = frozenset({"bedrock"})


def providers(section: Section, warnings: list[str], *, secrets: bool) -> dict[str, ProviderSettings]:
    """The section `providers`, by name; without `secrets` nothing that may hold a credential. Raises SettingsError."""
    return {name: _provider(name, section.section(name), warnings, secrets=secrets) for name in section.names()}


def _provider(name: str, provider: Section, warnings: list[str], *, secrets: bool) -> ProviderSettings:
    custom = provider.section("custom_provider_config")
    base_provider_type = _base_provider_type(name, provider, custom)
    network = _network(provider.section("network_config"), warnings, secrets=secrets)
    if secrets and network.base_url is None and (name in _NEEDS_BASE_URL or "custom_provider_config" in provider):
        example = _NEEDS_BASE_URL.get(name, "https://models.example.com/v1")
        raise provider.fail("network_config.base_url", f"missing; {name} needs one, as in {example}")
    key_less = custom.flag("is_key_less", default=name in KEY_LESS)
    settings = ProviderSettings(
        name=name,
        keys=_keys(provider, warnings, key_less=key_less) if secrets else (),
        network=network,
        base_provider_type=base_provider_type,
        key_less=key_less,
    )
    provider.ignore("keys")
    warnings += [*custom.finish(bifrost_settings.CUSTOM_PROVIDER), *provider.finish(bifrost_settings.PROVIDER)]
    return settings


def _base_provider_type(name: str, provider: Section, custom: Section) -> str | None:
    if name in _NOT_SERVED:
        raise SettingsError(provider.path, "not served by this version; leave it out")
    if "custom_provider_config" not in provider:
        if name not in PROVIDER_NAMES:
            nearest = difflib.get_close_matches(name, PROVIDER_NAMES, n=1)
            hint = f"did you mean {nearest[0]}? " if nearest else ""
            raise SettingsError(
                provider.path, f"unknown provider; {hint}a provider of your own needs custom_provider_config"
            )
        return None
    kind = custom.text("base_provider_type")
    if kind not in _BASE_PROVIDER_TYPES:
        raise custom.fail("base_provider_type", f"expected one of {', '.join(_BASE_PROVIDER_TYPES)}")
    return kind


def _keys(provider: Section, warnings: list[str], *, key_less: bool) -> tuple[ProviderKey, ...]:
    keys: list[ProviderKey] = []
    for index, section in enumerate(provider.sections("keys"), start=1):
        if not section.flag("enabled", default=True):
            continue
        key = ProviderKey(
            name=section.text("name") or f"key-{index}",
            value=section.text("value", secret=True) or "",
            models=section.texts("models", ("*",)),
            weight=section.number("weight", 1.0, above=None),
        )
        if not key.value and not key_less:
            raise section.fail("value", "missing; give the key or a reference, as in env.MY_KEY")
        if any(other.name == key.name for other in keys):
            raise section.fail("name", f'"{key.name}" is the name of an earlier key')
        keys.append(key)
        warnings += section.finish(bifrost_settings.KEY)
    if not keys and not key_less:
        raise provider.fail("keys", "expected at least one key")
    return tuple(keys)


def _network(network: Section, warnings: list[str], *, secrets: bool) -> NetworkSettings:
    default = NetworkSettings()
    network.ignore("base_url", "extra_headers")
    settings = NetworkSettings(
        base_url=network.url("base_url") if secrets else None,
        default_request_timeout_in_seconds=network.number(
            "default_request_timeout_in_seconds", default.default_request_timeout_in_seconds
        ),
        max_retries=network.integer("max_retries", default.max_retries),
        retry_backoff_initial_ms=network.integer("retry_backoff_initial", default.retry_backoff_initial_ms),
        retry_backoff_max_ms=network.integer("retry_backoff_max", default.retry_backoff_max_ms),
        stream_idle_timeout_in_seconds=network.number(
            "stream_idle_timeout_in_seconds", default.stream_idle_timeout_in_seconds
        ),
        extra_headers=network.mapping("extra_headers", secret=True) if secrets else {},
    )
    warnings += network.finish(bifrost_settings.NETWORK)
    return settings
