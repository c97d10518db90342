"""What `hermod config check` prints: everything that is configured, secrets masked."""

from __future__ import annotations

from collections.abc import Iterator

from shared.config_file import Loaded
from shared.governance_settings import VirtualKey
from shared.masked import mask_url
from shared.provider_settings import ProviderSettings
from shared.settings import ObjectStoreSettings


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
        f"redis: {mask_url(settings.redis.url)}",
        f"object store: {_object_store(settings.object_store)}",
        f"worker: {worker.slots} slots, lease {worker.lease_s:g} s renewed every {worker.renew_s:g} s",
        f"  grace {worker.grace_s:g} s",
        f"public URL: {settings.public_url or 'none; links are root-relative'}",
        *(f"warning: {warning}" for warning in loaded.warnings),
        "ok",
    ]


def _provider(provider: ProviderSettings) -> Iterator[str]:
    network = provider.network
    kind = f" (speaks as {provider.base_provider_type})" if provider.base_provider_type else ""
    yield (
        f"  {provider.name}{kind}: {mask_url(network.base_url) if network.base_url else 'its usual address'}, "
        f"{network.default_request_timeout_in_seconds:g} s per attempt, "
        f"{network.max_retries} retries"
    )
    for key in provider.keys:
        value = "***" if key.value else "none"
        yield f"    key {key.name}: value {value}, models {_listed(key.models)}, weight {key.weight:g}"
    for name in network.extra_headers:
        yield f"    header {name}: ***"


def _virtual_key(key: VirtualKey) -> Iterator[str]:
    state = "" if key.active else ", not active"
    caps = _caps(key.max_jobs, key.max_running_jobs)
    yield f"  virtual key {key.name}: value ***{state}, weight {key.weight:g}, {caps}"


def _caps(jobs: int, running: int) -> str:
    return f"at most {jobs} unfinished, {running or 'any number'} running"


def _object_store(store: ObjectStoreSettings) -> str:
    if not store.endpoint:
        return f"folder {store.path}"
    access = f"as {'***' if store.access_key else 'anonymous'}"
    scheme = "https" if store.secure else "http"
    return f"{scheme}://{store.endpoint}, bucket {store.bucket}, region {store.region or 'default'}, {access}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
