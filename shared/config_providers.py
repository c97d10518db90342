"""Reads the section `providers` of config.json: Bifrost's shape."""

from __future__ import annotations

import difflib

from shared import bifrost_settings
from shared.config_keys import needs_value, read_key
from shared.config_network import network_settings
from shared.config_section import Section
from shared.masked import SettingsError
from shared.provider_settings import PROVIDER_NAMES, NetworkSettings, ProviderKey, ProviderSettings

KEY_LESS = frozenset({"ollama", "vllm"})
"""Local servers, which ask for no credential."""

_BASE_PROVIDER_TYPES = ("anthropic", "bedrock", "gemini", "openai")


def providers(section: Section, warnings: list[str], *, secrets: bool) -> dict[str, ProviderSettings]:
    """The section `providers`, by name; without `secrets` nothing that may hold a credential. Raises SettingsError."""
    return {name: _provider(name, section.section(name), warnings, secrets=secrets) for name in section.names()}


def _provider(name: str, provider: Section, warnings: list[str], *, secrets: bool) -> ProviderSettings:
    custom = provider.section("custom_provider_config")
    base_provider_type = _base_provider_type(name, provider, custom)
    network = network_settings(provider, warnings, secrets=secrets)
    if secrets and network.base_url is None and base_provider_type:
        example = "https://models.example.com/v1"
        raise provider.fail("network_config.base_url", f"missing; {name} needs one, as in {example}")
    room = provider.section("concurrency_and_buffer_size")
    key_less = custom.flag("is_key_less", default=name in KEY_LESS)
    settings = ProviderSettings(
        name=name,
        keys=_keys(provider, base_provider_type or name, network, warnings, key_less=key_less) if secrets else (),
        network=network,
        base_provider_type=base_provider_type,
        key_less=key_less,
        allowed_requests=_allowed_requests(custom),
        request_path_overrides=_path_overrides(custom),
        concurrency=room.integer("concurrency", 0),
    )
    room.ignore("buffer_size")
    provider.ignore("keys")
    warnings += [*custom.finish(frozenset()), *provider.finish(bifrost_settings.PROVIDER)]
    warnings += room.finish(frozenset())
    return settings


def _base_provider_type(name: str, provider: Section, custom: Section) -> str | None:
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


def _allowed_requests(custom: Section) -> frozenset[str] | None:
    allowed = custom.section("allowed_requests")
    if "allowed_requests" not in custom:
        return None
    return frozenset(name for name in allowed.names() if allowed.flag(name, default=False))


def _path_overrides(custom: Section) -> dict[str, str]:
    paths = custom.mapping("request_path_overrides")
    for name, path in paths.items():
        if not path.startswith("/"):
            raise custom.section("request_path_overrides").fail(name, "expected a path that begins with /")
    return paths


def _keys(
    provider: Section, kind: str, network: NetworkSettings, warnings: list[str], *, key_less: bool
) -> tuple[ProviderKey, ...]:
    keys: list[ProviderKey] = []
    for index, section in enumerate(provider.sections("keys"), start=1):
        if not section.flag("enabled", default=True):
            continue
        key = read_key(section, f"key-{index}", kind, network.base_url, warnings)
        if not key.value and needs_value(key) and not key_less:
            raise section.fail("value", "missing; give the key or a reference, as in env.MY_KEY")
        if any(other.name == key.name for other in keys):
            raise section.fail("name", f'"{key.name}" is the name of an earlier key')
        keys.append(key)
    if not keys and not key_less:
        raise provider.fail("keys", "expected at least one key")
    return tuple(keys)
