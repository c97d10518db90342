"""Reads the response cache's settings: section `cache`, ours, or the plugin `semantic_cache` in Bifrost's shape."""

from __future__ import annotations

import re

from shared.cache_settings import LONGEST_TTL_S, CacheSettings
from shared.config_section import Section

_PLUGINS = frozenset({"semantic_cache", "semanticcache"})
_BIFROST = frozenset(
    {
        "cache_tool_call_responses",
        "cleanup_on_shutdown",
        "dimension",
        "keys",
        "vector_store_namespace",
    }
)
"""Settings of the plugin without a meaning here: answers with tool calls are never kept, and the index is our own."""
_DURATION = re.compile(r"(\d{1,7})(s|m|h)?")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def cache_settings(top: Section, providers: frozenset[str], warnings: list[str]) -> CacheSettings:
    """The settings, of `providers` the configured ones. Raises SettingsError."""
    own, plugin = top.section("cache"), _plugin(top, warnings)
    if plugin is None:
        settings = _read(own, enabled=own.flag("enabled", default=True), shared=own.flag("shared", default=False))
        warnings += own.finish()
        return _checked(own, settings, providers)
    if own.names():
        raise top.fail("cache", "plugins has the settings of the cache too; leave one out")
    entry, enabled = plugin, plugin.flag("enabled", default=True)
    config = entry.section("config")
    settings = _read(config, enabled=enabled, shared=config.flag("disable_identity_scoping", default=False))
    entry.ignore("name", "path", "version", "placement", "order")
    warnings += [*config.finish(_BIFROST), *entry.finish(frozenset())]
    return _checked(config, settings, providers)


def seconds(text: str) -> int | None:
    """A time as in `300`, `30s`, `5m` or `1h`; None when it is none, or not from a second to a week."""
    match = _DURATION.fullmatch(text.strip()) if text.isascii() else None
    found = int(match[1]) * _SECONDS[match[2] or ""] if match else 0
    return found if 1 <= found <= LONGEST_TTL_S else None


def _plugin(top: Section, warnings: list[str]) -> Section | None:
    """The entry of `plugins` that is the cache; the others are Bifrost's own."""
    found = None
    for plugin in top.sections("plugins"):
        name = plugin.text("name") or ""
        if name in _PLUGINS:
            found = plugin
        else:
            warnings.append(f"{plugin.path}: Hermod has no plugin {name[:40]!r} of Bifrost's; ignored")
    return found


def _read(section: Section, *, enabled: bool, shared: bool) -> CacheSettings:
    usual = CacheSettings()
    return CacheSettings(
        enabled=enabled,
        default_cache_key=section.text("default_cache_key") or "",
        ttl=_ttl(section, usual.ttl),
        threshold=section.number("threshold", usual.threshold, above=None),
        provider=section.text("provider") or None,
        embedding_model=section.text("embedding_model") or None,
        conversation_history_threshold=section.integer(
            "conversation_history_threshold", usual.conversation_history_threshold, least=1
        ),
        cache_by_model=section.flag("cache_by_model", default=True),
        cache_by_provider=section.flag("cache_by_provider", default=True),
        exclude_system_prompt=section.flag("exclude_system_prompt", default=False),
        shared=shared,
        batches=section.flag("batches", default=False),
        max_entry_bytes=section.integer("max_entry_bytes", usual.max_entry_bytes, least=1),
        max_bytes=section.integer("max_bytes", usual.max_bytes, least=1),
    )


def _ttl(section: Section, usual: int) -> int:
    given = section.raw("ttl")
    section.ignore("ttl")
    if given is None:
        return usual
    found = None if isinstance(given, bool | float) else seconds(str(given))
    if found is None:
        raise section.fail("ttl", f"expected seconds, or a time as in 5m, up to {LONGEST_TTL_S} seconds")
    return found


def _checked(section: Section, settings: CacheSettings, providers: frozenset[str]) -> CacheSettings:
    if settings.threshold > 1:
        raise section.fail("threshold", f"expected at most 1, got {settings.threshold:g}")
    if settings.provider and not settings.embedding_model:
        raise section.fail("embedding_model", "missing; provider is given")
    if settings.provider and settings.provider not in providers:
        raise section.fail("provider", f"not a configured provider; there are: {', '.join(sorted(providers))}")
    if settings.batches and not settings.default_cache_key:
        raise section.fail("batches", "needs default_cache_key: items of batches carry no headers of their own")
    return settings
