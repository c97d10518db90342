"""What an operator can set: frozen structs, read once at start by `shared/config_file.py`.

Each docstring gives a setting's unit, default and source: the path in config.json (Bifrost's shape plus the sections
`redis`, `object_store`, `encryption`, `worker`, `prices` and `public_url`) and, where there is one, the environment
variable. Credentials are shown as `***` by repr and str.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from shared.allowed_hosts import AllowedHost
from shared.cache_settings import CacheSettings
from shared.governance_settings import GovernanceSettings, VirtualKey
from shared.masked import Masked
from shared.price_settings import SetPrice
from shared.provider_settings import ProviderSettings
from shared.webhook_settings import WebhookSettings


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
        max_file_mb: uploaded files have at most so many MiB, in whatever way they come, and of the purpose `batch` at
            most 200; 0, the default, for the vendors' limits: 500 (Anthropic), 512 and, in parts, 8192 (OpenAI). Ours.
        header_filter_config: inbound headers that travel to the provider.
        enforce_auth_on_inference: a virtual key is required; default false.
        allowed_origins: CORS origins besides localhost, as `https://app.example` or `https://*.app.example`, `*` for
            any; pages of no other site may call; default none.
        max_jobs_per_key: unfinished jobs a caller may have, one more is a 429; default 100000. Ours.
        max_running_jobs_per_key: jobs of a caller that run at once, over all workers; default 0, no limit. Ours.
        webhook_retention_days: `webhook_config.delivery_history_retention_days`, days that deliveries of webhooks are
            remembered; default 30.
        metrics_port: TCP port of the API's own probes and metrics; default 9091, 0 for none. Ours.
    """

    async_job_result_ttl: int = 3600
    async_job_result_ttl_max: int = 604_800
    response_store_ttl: int = 3600
    max_request_body_size_mb: int = 32
    max_file_mb: int = 0
    header_filter_config: HeaderFilter = HeaderFilter()
    enforce_auth_on_inference: bool = False
    allowed_origins: tuple[str, ...] = ()
    max_jobs_per_key: int = 100_000
    max_running_jobs_per_key: int = 0
    webhook_retention_days: int = 30
    metrics_port: int = 9091


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


class EncryptionSettings(Masked, frozen=True, kw_only=True):
    """Section `encryption`: what callers send and get lies in Redis and in the object store under these keys. Ours.

    Attributes:
        master_keys: key `keys`: each 32 bytes (base64 in the file); the first encrypts what is written from now on, all
            decrypt; default none. What was written before there was a key cannot be read with one.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"master_keys"})

    master_keys: tuple[bytes, ...] = ()


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section `worker`, keys named as the attributes.

    Attributes:
        slots: jobs one worker process runs at once; default 200. Async jobs and batches leave an eighth of them, two
            at least, to requests that somebody waits for; the gateway's own chores, a quarter of the slots at most,
            may take half of that.
        lease_s: seconds after which a silent worker's jobs are another's; default 10.
        renew_s: seconds between renewals of a lease; default 3, so that two may fail.
        grace_s: seconds running jobs get to finish when the worker is stopped; default 25, below the 30 s
            that Kubernetes waits.
        batch_slots: of the slots, how many may run parts of batches at once; one of several is left to async jobs, as
            they leave one to batches; default 4, 0 leaves batches to other workers. Each holds up to 4 MiB of
            requests, and their answers, and as many may be held that are only being written out.
        batch_concurrency: requests of one such part that are at a provider at once; default 32.
        fetch_allow: hosts that URLs in requests may lead to although they are not on the public internet at port 80 or
            443; each a host, an address or a CIDR, with `:port` for another port; default none.
        metrics_port: TCP port of the worker's own probes and metrics; default 9090, 0 for none. Ours.
        send_traceparent: calls of providers carry `traceparent`, while traces are on; default false. Ours.
    """

    slots: int = 200
    batch_slots: int = 4
    batch_concurrency: int = 32
    lease_s: float = 10.0
    renew_s: float = 3.0
    grace_s: float = 25.0
    fetch_allow: tuple[AllowedHost, ...] = ()
    metrics_port: int = 9090
    send_traceparent: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        client: section `client`.
        virtual_keys: `governance.virtual_keys`; with any, no other virtual key is accepted.
        providers: by name; without a section `providers`, those whose usual environment variables are set.
        redis: section `redis`.
        object_store: section `object_store`.
        encryption: section `encryption`.
        worker: section `worker`.
        public_url: origin (and prefix) under which clients reach the gateway, no trailing slash; None makes
            links root-relative.
        governance: the rest of section `governance`, and section `admin`.
        fallbacks: section `fallbacks`: `provider/model` → the same of what serves instead when it fails and the
            request names no fallbacks of its own; default none. Ours.
        prices: `prices` and `governance.pricing_overrides`: what models cost, instead of what the built-in table says.
        webhooks: section `webhooks`: endpoints that are told of ends of jobs and batches; default none.
        cache: section `cache`, or the plugin `semantic_cache` of `plugins`.
    """

    client: ClientSettings = ClientSettings()
    virtual_keys: tuple[VirtualKey, ...] = ()
    providers: dict[str, ProviderSettings] = {}
    redis: RedisSettings = RedisSettings()
    object_store: ObjectStoreSettings = ObjectStoreSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    worker: WorkerSettings = WorkerSettings()
    public_url: str | None = None
    fallbacks: dict[str, tuple[str, ...]] = {}
    governance: GovernanceSettings = GovernanceSettings()
    prices: tuple[SetPrice, ...] = ()
    webhooks: tuple[WebhookSettings, ...] = ()
    cache: CacheSettings = CacheSettings()
