"""What an operator can set about a provider: section `providers`, read by `shared/config_providers.py`."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from shared.masked import Masked

PROVIDER_NAMES = frozenset(
    {
        "anthropic",
        "azure",
        "bedrock",
        "cerebras",
        "deepseek",
        "fireworks",
        "gemini",
        "groq",
        "mistral",
        "ollama",
        "openai",
        "openrouter",
        "perplexity",
        "together",
        "vertex",
        "vllm",
        "xai",
    }
)
"""Providers that need no `custom_provider_config`; how to speak to each is a row of the worker's catalog."""


class AzureKey(Masked, frozen=True, kw_only=True):
    """Where and how an Azure key is used: `azure_key_config` of the key.

    Attributes:
        endpoint: `https://<resource>.openai.azure.com`.
        api_version: with one, the older `/openai/deployments/<deployment>` addresses; without, the v1 surface.
        client_id: with `client_secret` and `tenant_id`, Entra signs the calls and the key's `value` is empty.
        client_secret: of the Entra application.
        tenant_id: of the Entra application.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"client_secret"})

    endpoint: str
    api_version: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    tenant_id: str | None = None


class VertexKey(Masked, frozen=True, kw_only=True):
    """Where and how a Vertex key is used: `vertex_key_config` of the key.

    Attributes:
        project_id: Google Cloud project.
        region: location, as `us-central1` or `global`.
        auth_credentials: a service account's JSON; None for what the machine has (application default credentials).
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"auth_credentials"})

    project_id: str
    region: str
    auth_credentials: str | None = None


class BedrockKey(Masked, frozen=True, kw_only=True):
    """Where and how a Bedrock key is used: `bedrock_key_config` of the key.

    Attributes:
        region: AWS region.
        access_key: AWS access key id; None with a bearer key (the key's `value`), or for what the machine has.
        secret_key: AWS secret access key.
        session_token: of temporary credentials.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"access_key", "secret_key", "session_token"})

    region: str
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None


class ProviderKey(Masked, frozen=True, kw_only=True):
    """A provider's credential, sent to its own address and nowhere else: an entry of `providers.{name}.keys`.

    Attributes:
        name: unique within the provider; default `key-1`, `key-2`, …
        value: the credential, a literal or `env.NAME`; empty only for a provider without keys, or one whose
            `azure`, `vertex` or `bedrock` block holds it.
        models: models it may be used for; default `*`, all; an empty list means none.
        blacklisted_models: models it may not be used for; default none.
        weight: its share in the weighted random choice among the provider's keys; default 1.
        aliases: model as asked → name at the provider (an Azure deployment, a Bedrock inference profile); also
            read from `deployments` of the blocks below. Default none.
        batches: key `use_for_batch_api`: native batches may use it; default true.
        azure, vertex, bedrock: `azure_key_config`, `vertex_key_config`, `bedrock_key_config`.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    value: str
    models: tuple[str, ...] = ("*",)
    blacklisted_models: tuple[str, ...] = ()
    weight: float = 1.0
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    batches: bool = True
    azure: AzureKey | None = None
    vertex: VertexKey | None = None
    bedrock: BedrockKey | None = None

    def serves(self, model: str) -> bool:
        """Whether it may be used for the model, by the name the client gives it."""
        return model not in self.blacklisted_models and ("*" in self.models or model in self.models)


class NetworkSettings(Masked, frozen=True, kw_only=True):
    """How a provider is reached: `providers.{name}.network_config`, keys named as the attributes.

    The API process, which calls no provider, has neither `base_url` nor `extra_headers`.

    Attributes:
        base_url: origin and path prefix, no trailing slash; default the catalog's.
        default_request_timeout_in_seconds: seconds for one attempt; default 600, what the vendors' SDKs allow.
        max_retries: attempts after the first, per target; default 2, as the vendors' SDKs.
        retry_backoff_initial_ms: first delay between attempts, ms; key `retry_backoff_initial`; default 500.
        retry_backoff_max_ms: longest delay between attempts, ms; key `retry_backoff_max`; default 5000.
        stream_idle_timeout_in_seconds: seconds a stream may be silent; default 60.
        extra_headers: sent with every request; values may be credentials and are never shown; default none.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"extra_headers"})

    base_url: str | None = None
    default_request_timeout_in_seconds: float = 600.0
    max_retries: int = 2
    retry_backoff_initial_ms: int = 500
    retry_backoff_max_ms: int = 5000
    stream_idle_timeout_in_seconds: float = 60.0
    extra_headers: dict[str, str] = msgspec.field(default_factory=dict)


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider: `providers.{name}`.

    Attributes:
        name: as in `provider/model`.
        keys: its credentials; always empty in the API process, which holds none.
        network: how it is reached.
        base_provider_type: `custom_provider_config.base_provider_type`: the provider whose wire a custom one
            speaks; None for a provider of the catalog.
        key_less: it is called without a credential: local servers, or `custom_provider_config.is_key_less`.
    """

    name: str
    keys: tuple[ProviderKey, ...] = ()
    network: NetworkSettings = NetworkSettings()
    base_provider_type: str | None = None
    key_less: bool = False
