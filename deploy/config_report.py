"""What `hermod config check` prints: everything that is configured, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.config_file import Loaded
from shared.governance_settings import Budget, Customer, RateLimit, Team, VirtualKey
from shared.masked import MASK, mask_url
from shared.prices import dollars
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.settings import EncryptionSettings, ObjectStoreSettings, Settings
from shared.webhook_settings import WebhookSettings


def config_report(loaded: Loaded, path: str | None) -> list[str]:
    """The lines; `path` is the file they come from, None for the environment."""
    settings = loaded.settings
    client, worker = settings.client, settings.worker
    filters = client.header_filter_config
    return [
        f"settings from {path or 'the environment'}",
        "providers" if settings.providers else "providers: none; hermod up would answer from its simulator",
        *(line for provider in settings.providers.values() for line in _provider(provider)),
        f"client: results kept {client.async_job_result_ttl} s, at most {client.async_job_result_ttl_max} s",
        f"  bodies up to {client.max_request_body_size_mb} MiB",
        f"  virtual key {'required' if client.enforce_auth_on_inference else 'optional'}",
        f"  headers allowed: {_listed(filters.allowlist)}; denied: {_listed(filters.denylist)}",
        f"  origins: {_listed(client.allowed_origins)}",
        f"  jobs of a caller: {_caps(client.max_jobs_per_key, client.max_running_jobs_per_key)}",
        *(line for key in settings.virtual_keys for line in _virtual_key(key)),
        *(_shared("customer", each) for each in settings.governance.customers),
        *(_shared("team", each) for each in settings.governance.teams),
        *(_webhook(endpoint) for endpoint in settings.webhooks),
        f"administration: {administration(settings)}",
        f"redis: {mask_url(settings.redis.url)}",
        f"object store: {_object_store(settings.object_store)}",
        f"encryption at rest: {_encryption(settings.encryption)}",
        f"worker: {worker.slots} slots, lease {worker.lease_s:g} s renewed every {worker.renew_s:g} s",
        f"  grace {worker.grace_s:g} s",
        *(f"  may fetch from {entry}" for entry in worker.fetch_allow),
        f"public URL: {settings.public_url or 'none; links are root-relative'}",
        *(f"warning: {warning}" for warning in loaded.warnings),
        "ok",
    ]


def _webhook(endpoint: WebhookSettings) -> str:
    state = ", disabled" if endpoint.disabled else ", may be private" if endpoint.allow_private_network else ""
    where = urlsplit(endpoint.url).netloc  # what follows the host may be a credential
    return f"webhook {endpoint.name}: {where}, secret {MASK}, told of {_listed(endpoint.events)}{state}"


def administration(settings: Settings) -> str:
    """Who is let into the console and the administration."""
    admin = settings.governance.admin
    if admin.password_hash or admin.password:
        return "with the admin's password"
    if admin.token:
        return "with the admin's token"
    return "open on this machine only: there is no admin.password_hash (hermod admin hash-password) and no admin.token"


def _provider(provider: ProviderSettings) -> Iterator[str]:
    network = provider.network
    kind = f" (speaks as {provider.base_provider_type})" if provider.base_provider_type else ""
    yield (
        f"  {provider.name}{kind}: {mask_url(network.base_url) if network.base_url else 'its usual address'}, "
        f"{network.default_request_timeout_in_seconds:g} s per attempt, "
        f"{network.max_retries} retries"
    )
    yield from (f"    {line}" for line in _network(network))
    for key in provider.keys:
        value = "***" if key.value else "none"
        yield f"    key {key.name}: value {value}, models {_listed(key.models)}, weight {key.weight:g}"
        yield from (f"      {line}" for line in _key(key))
    for name in network.extra_headers:
        yield f"    header {name}: ***"


def _network(network: NetworkSettings) -> Iterator[str]:
    """What is set otherwise than usual."""
    usual = NetworkSettings()
    for name in ("connect_timeout_in_seconds", "stream_idle_timeout_in_seconds", "keep_alive_timeout_in_seconds"):
        if (seconds := getattr(network, name)) != getattr(usual, name):
            yield f"{name.removesuffix('_in_seconds').replace('_', ' ')} {seconds:g} s"
    if network.max_conns_per_host:
        yield f"at most {network.max_conns_per_host} connections to a host, from each worker"
    if network.max_response_mb != usual.max_response_mb:
        yield f"answers up to {network.max_response_mb} MiB"
    if guard := network.stream_throughput_guard:
        least = guard.minimum_output_characters_per_second
        yield f"streams of at least {least} characters/s over {guard.probe_window_in_seconds} s"
    if network.proxy != usual.proxy:
        yield f"proxy {mask_url(network.proxy.url) if network.proxy.url else network.proxy.type}"
    if network.ca_cert_pem or network.proxy.ca_cert_pem:
        yield "authorities of its own"
    if network.insecure_skip_verify:
        yield "certificates are not checked"


def _key(key: ProviderKey) -> Iterator[str]:
    if key.base_url:
        yield f"at {mask_url(key.base_url)}"
    if azure := key.azure:
        signed = f", signed by Entra for {MASK}" if azure.client_id else ""
        yield f"at {mask_url(azure.endpoint)}, {azure.api_version or 'v1'}{signed}"
    if vertex := key.vertex:
        signed = MASK if vertex.auth_credentials else "the value" if key.value else "the machine's"
        yield f"project {vertex.project_id} in {vertex.region}, credentials: {signed}"
    if bedrock := key.bedrock:
        signed = MASK if bedrock.access_key else "the value" if key.value else "the machine's"
        yield f"region {bedrock.region}, credentials: {signed}"
    if key.blacklisted_models:
        yield f"not for {_listed(key.blacklisted_models)}"
    if not key.batches:
        yield "not for batches"
    yield from (f"{model} is {name} there" for model, name in key.aliases.items())


def _virtual_key(key: VirtualKey) -> Iterator[str]:
    state = "" if key.active else ", not active"
    caps = _caps(key.max_jobs, key.max_running_jobs)
    yield f"  virtual key {key.name}: value ***{state}, weight {key.weight:g}, {caps}"
    if limits := _limits(key.budgets, key.rate_limit):
        yield f"    {limits}"
    for config in key.provider_configs or ():
        may = f"models {_listed(config.allowed_models)} but {_listed(config.blacklisted_models)}"
        limits = _limits(config.budgets, config.rate_limit)
        yield f"    {config.provider}: {may}, keys {_listed(config.key_ids)}{limits and ', '}{limits}"
    if key.provider_configs == ():
        yield "    may use no provider"


def _shared(kind: str, shared: Team | Customer) -> str:
    return f"  {kind} {shared.id}: {_limits(shared.budgets, None) or 'no budget'}"


def _limits(budgets: tuple[Budget, ...], rate_limit: RateLimit | None) -> str:
    parts = [f"${dollars(each.max_limit):g} per {each.reset_duration}" for each in budgets]
    if rate_limit and rate_limit.token_max_limit is not None:
        parts.append(f"{rate_limit.token_max_limit} tokens per {rate_limit.token_reset_duration}")
    if rate_limit and rate_limit.request_max_limit is not None:
        parts.append(f"{rate_limit.request_max_limit} requests per {rate_limit.request_reset_duration}")
    return ", ".join(parts)


def _caps(jobs: int, running: int) -> str:
    return f"at most {jobs} unfinished, {running or 'any number'} running"


def _object_store(store: ObjectStoreSettings) -> str:
    if not store.endpoint:
        return f"folder {store.path}"
    access = f"as {'***' if store.access_key else 'anonymous'}"
    scheme = "https" if store.secure else "http"
    return f"{scheme}://{store.endpoint}, bucket {store.bucket}, region {store.region or 'default'}, {access}"


def _encryption(encryption: EncryptionSettings) -> str:
    count = len(encryption.master_keys)
    if not count:
        return "off; what callers send and get lies readable in redis and object store"
    return "on, 1 key" if count == 1 else f"on, {count} keys: the first encrypts, all decrypt"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
