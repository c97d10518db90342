"""Loads the settings: config.json in Bifrost's shape plus our sections, `env.NAME` references resolved once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared import bifrost_settings
from shared.config_environment import environment_config, environment_warnings
from shared.config_section import Section
from shared.settings import (
    PROVIDER_NAMES,
    ClientSettings,
    HeaderFilter,
    NetworkSettings,
    ObjectStoreSettings,
    ProviderKey,
    ProviderSettings,
    RedisSettings,
    Settings,
    SettingsError,
    VirtualKey,
    WorkerSettings,
)

KEY_LESS = frozenset({"ollama", "vllm"})
"""Local servers, which ask for no credential."""

_NEEDS_BASE_URL = {
    "azure": "https://<resource>.openai.azure.com/openai/v1",
    "vertex": "https://<region>-aiplatform.googleapis.com/v1/projects/<project>/locations/<region>/endpoints/openapi",
}
_BASE_PROVIDER_TYPES = ("anthropic", "openai")
_NOT_SERVED = frozenset({"bedrock"})

_NOTHING: frozenset[str] = frozenset()


class Loaded(msgspec.Struct, frozen=True):
    """The settings, and what an operator should be told about them, each a line beginning with the path."""

    settings: Settings
    warnings: tuple[str, ...] = ()


def load(path: str | None, environ: Mapping[str, str], *, secrets: bool) -> Loaded:
    """Settings from the file at `path`, or from the usual environment variables when it is None.

    A file without a section `providers` gets the providers of the environment. With `secrets=False`, as in the API
    process, which calls no provider, neither keys nor base URLs nor extra headers of providers are read: they are
    empty and their references stay unresolved.

    Raises:
        SettingsError: naming the path of the field that is wrong.
    """
    top = Section(read_document(path, environ), "", environ)
    top.ignore("$schema")
    warnings: list[str] = []
    client = _client(top.section("client"), warnings)
    settings = Settings(
        client=client,
        virtual_keys=_virtual_keys(top.section("governance"), client, warnings),
        providers=_providers(top.section("providers"), warnings, secrets=secrets),
        redis=_redis(top.section("redis"), environ, warnings),
        object_store=_object_store(top.section("object_store"), warnings),
        worker=_worker(top.section("worker"), warnings),
        public_url=top.url("public_url"),
    )
    left_out = () if path else environment_warnings(environ)
    return Loaded(settings=settings, warnings=(*left_out, *top.finish(bifrost_settings.TOP), *warnings))


def read_document(path: str | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """The file with its references unresolved; without one, or without providers in it, those of the environment.

    Raises:
        SettingsError: it cannot be read or is not a JSON object.
    """
    document = _parsed(path) if path else {}
    return document if document.get("providers") is not None else {**document, **environment_config(environ)}


def _parsed(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(path, f"cannot be read: {reason}") from error
    except json.JSONDecodeError as error:
        raise SettingsError(path, f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(document, dict):
        raise SettingsError(path, "expected a JSON object")
    return document


def _client(client: Section, warnings: list[str]) -> ClientSettings:
    default = ClientSettings()
    filters = client.section("header_filter_config")
    settings = ClientSettings(
        async_job_result_ttl=client.integer("async_job_result_ttl", default.async_job_result_ttl, least=1),
        response_store_ttl=client.integer("response_store_ttl", default.response_store_ttl, least=1),
        async_job_result_ttl_max=client.integer("async_job_result_ttl_max", default.async_job_result_ttl_max, least=1),
        max_request_body_size_mb=client.integer("max_request_body_size_mb", default.max_request_body_size_mb, least=1),
        header_filter_config=HeaderFilter(
            allowlist=tuple(name.lower() for name in filters.texts("allowlist")),
            denylist=tuple(name.lower() for name in filters.texts("denylist")),
        ),
        enforce_auth_on_inference=client.flag("enforce_auth_on_inference", default=False),
        allowed_origins=client.texts("allowed_origins"),
        max_jobs_per_key=client.integer("max_jobs_per_key", default.max_jobs_per_key, least=1),
        max_running_jobs_per_key=client.integer("max_running_jobs_per_key", default.max_running_jobs_per_key),
    )
    if settings.async_job_result_ttl > settings.async_job_result_ttl_max:
        raise client.fail(
            "async_job_result_ttl", f"expected at most async_job_result_ttl_max, {settings.async_job_result_ttl_max}"
        )
    warnings += [*filters.finish(_NOTHING), *client.finish(bifrost_settings.CLIENT)]
    return settings


def _virtual_keys(governance: Section, client: ClientSettings, warnings: list[str]) -> tuple[VirtualKey, ...]:
    keys: list[VirtualKey] = []
    for index, section in enumerate(governance.sections("virtual_keys"), start=1):
        key = VirtualKey(
            name=section.text("name") or f"virtual-key-{index}",
            value=section.text("value", secret=True) or "",
            active=section.flag("is_active", default=True),
            weight=section.number("weight", 1.0),
            max_jobs=section.integer("max_jobs", client.max_jobs_per_key, least=1),
            max_running_jobs=section.integer("max_running_jobs", client.max_running_jobs_per_key),
        )
        if not key.value:
            raise section.fail("value", "missing; give the key or a reference, as in env.TEAM_KEY")
        for other in keys:
            if other.name == key.name:
                raise section.fail("name", f'"{key.name}" is the name of an earlier key')
            if other.value == key.value:
                raise section.fail("value", f'the same as that of "{other.name}"')
        keys.append(key)
        warnings += section.finish(bifrost_settings.VIRTUAL_KEY)
    warnings += governance.finish(bifrost_settings.GOVERNANCE)
    return tuple(keys)


def _providers(providers: Section, warnings: list[str], *, secrets: bool) -> dict[str, ProviderSettings]:
    return {name: _provider(name, providers.section(name), warnings, secrets=secrets) for name in providers.names()}


def _provider(name: str, provider: Section, warnings: list[str], *, secrets: bool) -> ProviderSettings:
    custom = provider.section("custom_provider_config")
    base_provider_type = _base_provider_type(name, provider, custom)
    network = _network(provider.section("network_config"), warnings, secrets=secrets)
    if secrets and network.base_url is None and (name in _NEEDS_BASE_URL or "custom_provider_config" in provider):
        example = _NEEDS_BASE_URL.get(name, "https://models.example.com/v1")
        raise provider.fail("network_config.base_url", f"missing; {name} needs one, as in {example}")
    key_less = custom.flag("is_key_less", default=name in KEY_LESS)
    settings = ProviderSettings(
        name=name,
        keys=_keys(provider, warnings, key_less=key_less) if secrets else (),
        network=network,
        base_provider_type=base_provider_type,
        key_less=key_less,
    )
    provider.ignore("keys")
    warnings += [*custom.finish(bifrost_settings.CUSTOM_PROVIDER), *provider.finish(bifrost_settings.PROVIDER)]
    return settings


def _base_provider_type(name: str, provider: Section, custom: Section) -> str | None:
    if name in _NOT_SERVED:
        raise SettingsError(provider.path, "not served by this version; leave it out")
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


def _keys(provider: Section, warnings: list[str], *, key_less: bool) -> tuple[ProviderKey, ...]:
    keys: list[ProviderKey] = []
    for index, section in enumerate(provider.sections("keys"), start=1):
        if not section.flag("enabled", default=True):
            continue
        key = ProviderKey(
            name=section.text("name") or f"key-{index}",
            value=section.text("value", secret=True) or "",
            models=section.texts("models", ("*",)),
            weight=section.number("weight", 1.0, above=None),
        )
        if not key.value and not key_less:
            raise section.fail("value", "missing; give the key or a reference, as in env.MY_KEY")
        if any(other.name == key.name for other in keys):
            raise section.fail("name", f'"{key.name}" is the name of an earlier key')
        keys.append(key)
        warnings += section.finish(bifrost_settings.KEY)
    if not keys and not key_less:
        raise provider.fail("keys", "expected at least one key")
    return tuple(keys)


def _network(network: Section, warnings: list[str], *, secrets: bool) -> NetworkSettings:
    default = NetworkSettings()
    network.ignore("base_url", "extra_headers")
    settings = NetworkSettings(
        base_url=network.url("base_url") if secrets else None,
        default_request_timeout_in_seconds=network.number(
            "default_request_timeout_in_seconds", default.default_request_timeout_in_seconds
        ),
        max_retries=network.integer("max_retries", default.max_retries),
        retry_backoff_initial_ms=network.integer("retry_backoff_initial", default.retry_backoff_initial_ms),
        retry_backoff_max_ms=network.integer("retry_backoff_max", default.retry_backoff_max_ms),
        stream_idle_timeout_in_seconds=network.number(
            "stream_idle_timeout_in_seconds", default.stream_idle_timeout_in_seconds
        ),
        extra_headers=network.mapping("extra_headers", secret=True) if secrets else {},
    )
    warnings += network.finish(bifrost_settings.NETWORK)
    return settings


def _redis(redis: Section, environ: Mapping[str, str], warnings: list[str]) -> RedisSettings:
    default = Section({"HERMOD_REDIS_URL": environ.get("HERMOD_REDIS_URL") or None}, "environment", environ)
    schemes = ("redis", "rediss", "unix")
    url = redis.url("url", schemes) or default.url("HERMOD_REDIS_URL", schemes)
    warnings += redis.finish()
    return RedisSettings(url=url) if url else RedisSettings()


def _object_store(store: Section, warnings: list[str]) -> ObjectStoreSettings:
    settings = ObjectStoreSettings(
        path=store.text("path"),
        endpoint=store.text("endpoint"),
        bucket=store.text("bucket") or ObjectStoreSettings().bucket,
        access_key=store.text("access_key", secret=True),
        secret_key=store.text("secret_key", secret=True),
        region=store.text("region"),
        secure=store.flag("secure", default=True),
        inline_bytes=store.integer("inline_bytes", ObjectStoreSettings().inline_bytes),
    )
    if settings.path and settings.endpoint:
        raise store.fail("path", "give either a folder (path) or an S3 server (endpoint)")
    if settings.endpoint and "/" in settings.endpoint:
        raise store.fail("endpoint", "expected host or host:port; object_store.secure chooses http or https")
    if (settings.access_key is None) != (settings.secret_key is None):
        raise store.fail("access_key" if settings.access_key is None else "secret_key", "missing; its partner is given")
    warnings += store.finish()
    return settings


def _worker(worker: Section, warnings: list[str]) -> WorkerSettings:
    default = WorkerSettings()
    settings = WorkerSettings(
        slots=worker.integer("slots", default.slots, least=1),
        lease_s=worker.number("lease_s", default.lease_s),
        renew_s=worker.number("renew_s", default.renew_s),
        grace_s=worker.number("grace_s", default.grace_s, above=None),
        batch_slots=worker.integer("batch_slots", default.batch_slots),
        batch_concurrency=worker.integer("batch_concurrency", default.batch_concurrency, least=1),
    )
    if settings.renew_s * 2 > settings.lease_s:
        raise worker.fail("renew_s", f"expected at most half of lease_s, {settings.lease_s:g}, so that one may fail")
    warnings += worker.finish()
    return settings
