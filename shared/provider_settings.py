"""What an operator can set about a provider: section `providers`, read by `shared/config_providers.py`."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

import msgspec

from shared.masked import Masked
from shared.network_settings import ProxySettings, StreamGuard

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
        endpoint: `https://<resource>.openai.azure.com`, no trailing slash and nothing of `/openai/v1`; default
            `network_config.base_url`.
        api_version: with one, the older `/openai/deployments/<deployment>` addresses; without, the v1 surface.
        client_id: with `client_secret` and `tenant_id`, Entra signs the calls and the key's `value` is empty.
        client_secret: of the Entra application.
        tenant_id: of the Entra application.
        authority: where Entra signs in, `https://` only; default that of the public cloud. Ours.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"client_secret"})

    endpoint: str
    api_version: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    tenant_id: str | None = None
    authority: str = "https://login.microsoftonline.com"


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


class BatchBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Where the requests and answers of Bedrock's batches lie: `batch_s3_config` of the block of a key.

    Attributes:
        bucket_name: `buckets[].bucket_name`, of the entry with `is_default`, else of the first. It must be of the
            key's region and account.
        prefix: `buckets[].prefix`, of all objects; default `hermod/`.
        role_arn: the service role with which Bedrock reads and writes the bucket. Ours.
        endpoint: of S3, no trailing slash; default that of the region. Ours.
    """

    bucket_name: str
    prefix: str
    role_arn: str
    endpoint: str


class BedrockKey(Masked, frozen=True, kw_only=True):
    """Where and how a Bedrock key is used: `bedrock_key_config` of the key.

    Attributes:
        region: AWS region.
        access_key: AWS access key id; None with a bearer key (the key's `value`), or for what the machine has.
        secret_key: AWS secret access key.
        session_token: of temporary credentials.
        batch: `batch_s3_config`: what native batches need; default None, batches run directly.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"access_key", "secret_key", "session_token"})

    region: str
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    batch: BatchBucket | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may be used for within a minute: `rate_limits` of the key, or an entry of its `models`. Ours.

    Attributes:
        requests_per_minute: default 0, no limit but what the provider tells.
        tokens_per_minute: of input and output together; default 0, the same.
    """

    requests_per_minute: int = 0
    tokens_per_minute: int = 0


class ProviderKey(Masked, frozen=True, kw_only=True):
    """A provider's credential, sent to its own address and nowhere else: an entry of `providers.{name}.keys`.

    Attributes:
        name: unique within the provider; default `key-1`, `key-2`, …
        id: another name of it, as Bifrost gives its keys; default none.
        value: the credential, a literal or `env.NAME`; empty only for a provider without keys, or one whose
            `azure`, `vertex` or `bedrock` block holds it.
        models: models it may be used for; default `*`, all; an empty list means none.
        blacklisted_models: models it may not be used for; default none.
        weight: its share in the weighted random choice among the provider's keys; default 1.
        aliases: model as asked → name at the provider (an Azure deployment, a Bedrock inference profile); also
            read from `deployments` of the blocks below. Default none.
        batches: key `use_for_batch_api`: native batches may use it; default true.
        base_url: `ollama_key_config.url`: or `vllm_key_config.url`, an address of its own, no trailing slash; default
            the provider's.
        rate_limits: of each model by itself; default none. Ours.
        model_limits: `rate_limits.models`: instead of those, for the models named. Ours.
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
    base_url: str | None = None
    rate_limits: RateLimits = RateLimits()
    model_limits: dict[str, RateLimits] = msgspec.field(default_factory=dict)
    azure: AzureKey | None = None
    vertex: VertexKey | None = None
    bedrock: BedrockKey | None = None
    id: str = ""

    def is_one_of(self, names: Collection[str]) -> bool:
        """Whether its name or its id is among them."""
        return self.name in names or (bool(self.id) and self.id in names)

    def serves(self, model: str) -> bool:
        """Whether it may be used for the model, by the name the client gives it."""
        return model not in self.blacklisted_models and ("*" in self.models or model in self.models)


class NetworkSettings(Masked, frozen=True, kw_only=True):
    """How a provider is reached: `providers.{name}.network_config`, keys named as the attributes.

    The API process, which calls no provider, has neither `base_url`, `extra_headers`, `ca_cert_pem` nor `proxy`.

    Attributes:
        base_url: origin and path prefix, no trailing slash; default the catalog's.
        default_request_timeout_in_seconds: seconds for one attempt; default 600, what the vendors' SDKs allow.
        connect_timeout_in_seconds: of these, seconds for name, connection and TLS; default 10. Ours.
        stream_idle_timeout_in_seconds: seconds a stream may be silent; default 60.
        keep_alive_timeout_in_seconds: seconds a connection is kept without a call; default 15.
        max_conns_per_host: connections that one worker has to one host, further calls wait; default 0, any number.
        max_response_mb: longest answer that is read, in MiB; default 64. Ours.
        stream_throughput_guard: the least pace of a stream; default None, any.
        max_retries: attempts after the first, per target; default 2, as the vendors' SDKs.
        retry_backoff_initial_ms: first delay between attempts; key `retry_backoff_initial`, `"500ms"`, `"2s"` or a
            number of ms; default 500.
        retry_backoff_max_ms: longest delay between attempts; key `retry_backoff_max`, likewise; default 5000.
        retry_ambiguous: a call that was sent and timed out, and may be running over there, is made again; default
            false. Ours.
        extra_headers: sent with every request; values may be credentials and are never shown; default none.
        beta_header_overrides: beginnings of names of Anthropic's betas, as `redact-thinking-`, and whether a client may
            ask the provider for those; default none, all may.
        ca_cert_pem: PEM of authorities that are trusted besides the usual; default none.
        insecure_skip_verify: certificates are not checked; default false.
        proxy: `providers.{name}.proxy_config`; default the environment's.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"extra_headers"})

    base_url: str | None = None
    default_request_timeout_in_seconds: float = 600.0
    connect_timeout_in_seconds: float = 10.0
    stream_idle_timeout_in_seconds: float = 60.0
    keep_alive_timeout_in_seconds: float = 15.0
    max_conns_per_host: int = 0
    max_response_mb: int = 64
    stream_throughput_guard: StreamGuard | None = None
    max_retries: int = 2
    retry_backoff_initial_ms: int = 500
    retry_backoff_max_ms: int = 5000
    retry_ambiguous: bool = False
    extra_headers: dict[str, str] = msgspec.field(default_factory=dict)
    beta_header_overrides: dict[str, bool] = msgspec.field(default_factory=dict)
    ca_cert_pem: str = ""
    insecure_skip_verify: bool = False
    proxy: ProxySettings = ProxySettings()


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider: `providers.{name}`.

    Attributes:
        name: as in `provider/model`.
        keys: its credentials; always empty in the API process, which holds none.
        network: how it is reached.
        base_provider_type: `custom_provider_config.base_provider_type`: the provider whose wire a custom one
            speaks; None for a provider of the catalog.
        key_less: `custom_provider_config.is_key_less`: it is called without a credential, as local servers are.
        allowed_requests: `custom_provider_config.allowed_requests`: what may be asked of it, by Bifrost's names, as
            `chat_completion_stream`; None for everything.
        request_path_overrides: `custom_provider_config.request_path_overrides`: paths below its address, by the same
            names; default those of its wire.
        concurrency: `concurrency_and_buffer_size.concurrency`: calls at once, over all workers; default 0, no limit.
    """

    name: str
    keys: tuple[ProviderKey, ...] = ()
    network: NetworkSettings = NetworkSettings()
    base_provider_type: str | None = None
    key_less: bool = False
    allowed_requests: frozenset[str] | None = None
    request_path_overrides: dict[str, str] = msgspec.field(default_factory=dict)
    concurrency: int = 0
