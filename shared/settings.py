"""What an operator can set: frozen structs, read once at start by `shared/config_file.py`.

Each docstring gives a setting's unit, default and source: the path in config.json (Bifrost's shape plus the
sections `redis`, `object_store`, `worker` and `public_url`) and, where there is one, the environment variable.
Credentials are shown as `***` by repr and str.
"""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

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

MASK = "***"


class SettingsError(Exception):
    """A setting stops the start.

    Attributes:
        path: where it stands, as in `providers.openai.keys[0].weight`, or the file when it cannot be read.
        message: what was expected and what was found; never a credential.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def mask_url(url: str) -> str:
    """The URL with its user and password, if any, replaced by `***`."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{MASK}@{parts.netloc.rpartition('@')[2]}"))


class Masked(msgspec.Struct, frozen=True):
    """A struct with credentials; its repr shows `***` for the fields in `hidden` and masks URLs."""

    hidden: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        shown = (f"{name}={self._shown(name)}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(shown)})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name in self.hidden and value:
            return repr(MASK)
        return repr(mask_url(value)) if name.endswith("url") and isinstance(value, str) else repr(value)


class HeaderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which inbound headers may travel to the provider; names in lower case, `*` is a wildcard.

    Attributes:
        allowlist: `client.header_filter_config.allowlist`; default none.
        denylist: `client.header_filter_config.denylist`; default none; wins over the allow-list.
    """

    allowlist: tuple[str, ...] = ()
    denylist: tuple[str, ...] = ()


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The client-facing side: section `client`, keys named as the attributes.

    Attributes:
        async_job_result_ttl: seconds an outcome is kept from completion when the request names none; default 3600.
        async_job_result_ttl_max: the most seconds a request may ask for; default 604800 (a week). Ours.
        response_store_ttl: seconds a stored response of `/responses` can be read and continued, from completion, unless
            it was submitted with a time of its own; default 3600. Ours.
        max_request_body_size_mb: larger bodies are refused, in MiB; default 32, Anthropic's limit for messages.
        header_filter_config: inbound headers that travel to the provider.
        enforce_auth_on_inference: a virtual key is required; default false.
        allowed_origins: CORS origins besides localhost, `*` for any; default none.
        max_jobs_per_key: unfinished jobs a caller may have, one more is a 429; default 100000. Ours.
        max_running_jobs_per_key: jobs of a caller that run at once, over all workers; default 0, no limit. Ours.
    """

    async_job_result_ttl: int = 3600
    async_job_result_ttl_max: int = 604_800
    response_store_ttl: int = 3600
    max_request_body_size_mb: int = 32
    header_filter_config: HeaderFilter = HeaderFilter()
    enforce_auth_on_inference: bool = False
    allowed_origins: tuple[str, ...] = ()
    max_jobs_per_key: int = 100_000
    max_running_jobs_per_key: int = 0


class VirtualKey(Masked, frozen=True, kw_only=True):
    """A caller's credential and its share of the gateway: an entry of `governance.virtual_keys`.

    Attributes:
        name: unique; default `virtual-key-1`, `virtual-key-2`, …
        value: the credential, a literal or `env.NAME`; any text.
        active: key `is_active`: false refuses whoever sends it; default true.
        weight: turns in line for one of a caller with weight 1; default 1. Ours.
        max_jobs: unfinished jobs; default `client.max_jobs_per_key`. Ours.
        max_running_jobs: jobs that run at once, 0 for no limit; default `client.max_running_jobs_per_key`. Ours.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    value: str
    active: bool = True
    weight: float = 1.0
    max_jobs: int = 100_000
    max_running_jobs: int = 0


class ProviderKey(Masked, frozen=True, kw_only=True):
    """A provider's credential: an entry of `providers.{name}.keys`.

    Attributes:
        name: unique within the provider; default `key-1`, `key-2`, …
        value: the credential, a literal or `env.NAME`; empty only for a provider without keys.
        models: models it may be used for; default `*`, all; an empty list means none.
        weight: its share in the weighted random choice among the provider's keys; default 1.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"value"})

    name: str
    value: str
    models: tuple[str, ...] = ("*",)
    weight: float = 1.0


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
    extra_headers: dict[str, str] = {}


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


class RedisSettings(Masked, frozen=True, kw_only=True):
    """Section `redis`.

    Attributes:
        url: `redis://`, `rediss://` (TLS) or `unix://`; else HERMOD_REDIS_URL, else redis://127.0.0.1:6379/0.
    """

    url: str = "redis://127.0.0.1:6379/0"


class ObjectStoreSettings(Masked, frozen=True, kw_only=True):
    """Section `object_store`: a folder (`path`) or an S3 server (`endpoint`), not both.

    Attributes:
        path: folder; with neither path nor endpoint, `objects` below the command's data folder.
        endpoint: `host` or `host:port` of an S3 server.
        bucket: default `hermod`.
        access_key: S3 access key id; default anonymous.
        secret_key: S3 secret key.
        region: default the server's own.
        secure: TLS; default true.
        inline_bytes: larger bodies of requests and answers go to the object store instead of Redis; default 262144.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"access_key", "secret_key"})

    path: str | None = None
    endpoint: str | None = None
    bucket: str = "hermod"
    access_key: str | None = None
    secret_key: str | None = None
    region: str | None = None
    secure: bool = True
    inline_bytes: int = 262_144


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section `worker`, keys named as the attributes.

    Attributes:
        slots: jobs one worker process runs at once; default 200.
        lease_s: seconds after which a silent worker's jobs are another's; default 10.
        renew_s: seconds between renewals of a lease; default 3, so that two may fail.
        grace_s: seconds running jobs get to finish when the worker is stopped; default 25, below the 30 s
            that Kubernetes waits.
        batch_slots: of the slots, how many may run parts of batches at once, so that other requests always find one:
            never the last of several; default 4, 0 leaves batches to other workers. Each holds up to 4 MiB of
            requests, and their answers.
        batch_concurrency: requests of one such part that are at a provider at once; default 32.
    """

    slots: int = 200
    batch_slots: int = 4
    batch_concurrency: int = 32
    lease_s: float = 10.0
    renew_s: float = 3.0
    grace_s: float = 25.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        client: section `client`.
        virtual_keys: `governance.virtual_keys`; with any, no other virtual key is accepted.
        providers: by name; without a section `providers`, those whose usual environment variables are set.
        redis: section `redis`.
        object_store: section `object_store`.
        worker: section `worker`.
        public_url: origin (and prefix) under which clients reach the gateway, no trailing slash; None makes
            links root-relative.
    """

    client: ClientSettings = ClientSettings()
    virtual_keys: tuple[VirtualKey, ...] = ()
    providers: dict[str, ProviderSettings] = {}
    redis: RedisSettings = RedisSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    worker: WorkerSettings = WorkerSettings()
    public_url: str | None = None
