"""Which of a provider's keys a native batch may use."""

from shared.provider_settings import AzureKey, ProviderKey, ProviderSettings
from shared.settings import Settings
from worker.native_batches.offers import batch_keys, offers
from worker.routing import Router


def router(name: str, *keys: ProviderKey) -> Router:
    return Router(Settings(providers={name: ProviderSettings(name=name, keys=keys)}))


def test_a_key_that_is_not_for_batches_is_used_for_none():
    keys = [ProviderKey(name="calls", value="k", batches=False), ProviderKey(name="both", value="k")]
    assert batch_keys(router("openai", *keys), "openai") == {"both"}
    assert set(offers(router("openai", *keys), "auto")) == {"openai"}
    assert offers(router("openai", keys[0]), "native") == {}


def test_a_key_at_azures_older_addresses_is_used_for_none():
    endpoint = "https://me.openai.azure.com"
    old = ProviderKey(name="old", value="k", azure=AzureKey(endpoint=endpoint, api_version="2024-10-21"))
    new = ProviderKey(name="new", value="k", azure=AzureKey(endpoint=endpoint))
    assert batch_keys(router("azure", old, new), "azure") == {"new"}
    assert offers(router("azure", old), "native") == {}
    assert set(offers(router("azure", old, new), "native")) == {"azure"}
