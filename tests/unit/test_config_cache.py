import json

import pytest

from shared.cache_settings import CacheSettings
from shared.config_file import load
from shared.masked import SettingsError

PROVIDERS = {"openai": {"keys": [{"value": "sk-openai"}]}}


@pytest.fixture
def loaded(tmp_path):
    def load_document(**document):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"providers": PROVIDERS, **document}))
        return load(str(path), {}, secrets=False)

    return load_document


def test_without_a_section_a_cache_key_is_enough(loaded):
    assert loaded().settings.cache == CacheSettings()
    assert CacheSettings().enabled
    assert not CacheSettings().semantic


def test_bifrosts_plugin_is_read(loaded):
    config = {
        "provider": "openai",
        "embedding_model": "text-embedding-3-small",
        "dimension": 1536,
        "keys": ["env.NOBODYS_KEY"],
        "ttl": "10m",
        "threshold": 0.9,
        "default_cache_key": "all",
        "conversation_history_threshold": 5,
        "cache_by_model": False,
        "cache_by_provider": False,
        "exclude_system_prompt": True,
        "cleanup_on_shutdown": True,
        "vector_store_namespace": "cache",
    }
    found = loaded(plugins=[{"name": "semantic_cache", "enabled": True, "config": config}])
    assert found.settings.cache == CacheSettings(
        provider="openai",
        embedding_model="text-embedding-3-small",
        ttl=600,
        threshold=0.9,
        default_cache_key="all",
        conversation_history_threshold=5,
        cache_by_model=False,
        cache_by_provider=False,
        exclude_system_prompt=True,
    )
    assert {warning.partition(":")[0] for warning in found.warnings} == {
        f"plugins[0].config.{name}" for name in ("cleanup_on_shutdown", "dimension", "keys", "vector_store_namespace")
    }


def test_a_plugin_that_is_off_turns_the_cache_off(loaded):
    assert not loaded(plugins=[{"name": "semantic_cache", "enabled": False}]).settings.cache.enabled


def test_other_plugins_are_warned_about(loaded):
    assert (
        loaded(plugins=[{"name": "otel", "enabled": True}]).warnings[0].startswith("plugins[0]: Hermod has no plugin")
    )


def test_our_section_says_more(loaded):
    given = {"shared": True, "batches": True, "default_cache_key": "all", "ttl": 60, "max_entry_bytes": 10}
    assert loaded(cache=given).settings.cache == CacheSettings(**given)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"cache": {"threshold": 1.5}}, "cache.threshold"),
        ({"cache": {"ttl": "soon"}}, "cache.ttl"),
        ({"cache": {"ttl": 0}}, "cache.ttl"),
        ({"cache": {"ttl": True}}, "cache.ttl"),
        ({"cache": {"provider": "openai"}}, "cache.embedding_model"),
        ({"cache": {"provider": "gemini", "embedding_model": "e"}}, "cache.provider"),
        ({"cache": {"batches": True}}, "cache.batches"),
        ({"cache": {"treshold": 0.5}}, "cache.treshold"),
        ({"cache": {"ttl": 1}, "plugins": [{"name": "semantic_cache"}]}, "cache"),
        ({"plugins": [{"name": "semantic_cache", "config": {"treshold": 0.5}}]}, "plugins[0].config.treshold"),
    ],
    ids=str,
)
def test_a_wrong_setting_stops_the_start_with_its_path(loaded, document, path):
    with pytest.raises(SettingsError) as caught:
        loaded(**document)
    assert str(caught.value).startswith(f"{path}:")
