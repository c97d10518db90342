"""Loads the settings: config.json in Bifrost's shape plus our sections, `env.NAME` references resolved once."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shared import bifrost_settings
from shared.allowed_hosts import AllowedHost, allowed_host
from shared.config_cache import cache_settings
from shared.config_environment import environment_config, environment_warnings
from shared.config_governance import Governance, governance_settings
from shared.config_prices import bifrost_prices, own_prices
from shared.config_providers import providers
from shared.config_section import Section
from shared.config_webhooks import webhooks
from shared.masked import SettingsError
from shared.settings import (
    ClientSettings,
    EncryptionSettings,
    HeaderFilter,
    ObjectStoreSettings,
    RedisSettings,
    Settings,
    WorkerSettings,
)

_NOTHING: frozenset[str] = frozenset()
_LAST_PORT = 65_535
_ENCRYPTION_KEY_BYTES = 32
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,61}[A-Za-z0-9]")
_NO_BUCKET = re.compile(r"\.\.|\.-|-\.|^\d+(\.\d+){3}$|(-s3alias|--ol-s3)$")
"""What the S3 client takes for a bucket's name: wider than AWS, for older stores have names of their own."""


class Loaded(msgspec.Struct, frozen=True):
    """The settings, and what an operator should be told about them, each a line beginning with the path."""

    settings: Settings
    warnings: tuple[str, ...] = ()


def load(path: str | None, environ: Mapping[str, str], *, secrets: bool, administration: bool = True) -> Loaded:
    """Settings from the file at `path`, or from the usual environment variables when it is None.

    A file without a section `providers` gets the providers of the environment. With `secrets=False`, as in the API
    process, which calls no provider, neither keys nor base URLs nor extra headers of providers are read: they are
    empty and their references stay unresolved. With `administration=False`, as in a worker, which lets nobody in,
    the same holds for section `admin` and `client.required_headers`.

    Raises:
        SettingsError: naming the path of the field that is wrong.
    """
    top = Section(read_document(path, environ), "", environ)
    top.ignore("$schema")
    warnings: list[str] = []
    client_section, section = top.section("client"), top.section("governance")
    client_section.ignore("required_headers")
    client = _client(client_section, warnings)
    prices = (*own_prices(top.section("prices")), *bifrost_prices(section, warnings))
    governance = Governance(section, client, warnings)
    admin = top.section("admin")
    settings = Settings(
        client=client,
        virtual_keys=governance.virtual_keys,
        governance=governance_settings(governance, (client_section, admin) if administration else None, environ),
        providers=providers(top.section("providers"), warnings, secrets=secrets),
        redis=_redis(top.section("redis"), environ, warnings),
        object_store=_object_store(top.section("object_store"), warnings),
        encryption=_encryption(top.section("encryption"), warnings),
        worker=_worker(top.section("worker"), warnings),
        public_url=top.url("public_url"),
        fallbacks=_fallbacks(top.section("fallbacks")),
        prices=prices,
        webhooks=webhooks(top.sections("webhooks"), warnings, secrets=secrets),
        cache=cache_settings(top, frozenset(top.section("providers").names()), warnings),
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


def _fallbacks(fallbacks: Section) -> dict[str, tuple[str, ...]]:
    return {name: fallbacks.texts(name) for name in fallbacks.names()}


def _client(client: Section, warnings: list[str]) -> ClientSettings:
    default = ClientSettings()
    filters, hooks = client.section("header_filter_config"), client.section("webhook_config")
    settings = ClientSettings(
        async_job_result_ttl=client.integer("async_job_result_ttl", default.async_job_result_ttl, least=1),
        response_store_ttl=client.integer("response_store_ttl", default.response_store_ttl, least=1),
        async_job_result_ttl_max=client.integer("async_job_result_ttl_max", default.async_job_result_ttl_max, least=1),
        max_request_body_size_mb=client.integer("max_request_body_size_mb", default.max_request_body_size_mb, least=1),
        max_file_mb=client.integer("max_file_mb", default.max_file_mb),
        header_filter_config=HeaderFilter(
            allowlist=tuple(name.lower() for name in filters.texts("allowlist")),
            denylist=tuple(name.lower() for name in filters.texts("denylist")),
        ),
        enforce_auth_on_inference=client.flag("enforce_auth_on_inference", default=False),
        allowed_origins=_origins(client),
        max_jobs_per_key=client.integer("max_jobs_per_key", default.max_jobs_per_key, least=1),
        max_running_jobs_per_key=client.integer("max_running_jobs_per_key", default.max_running_jobs_per_key),
        webhook_retention_days=hooks.integer(
            "delivery_history_retention_days", default.webhook_retention_days, least=1
        ),
        metrics_port=_port(client, "metrics_port", default.metrics_port),
    )
    if settings.async_job_result_ttl > settings.async_job_result_ttl_max:
        raise client.fail(
            "async_job_result_ttl", f"expected at most async_job_result_ttl_max, {settings.async_job_result_ttl_max}"
        )
    warnings += [*filters.finish(_NOTHING), *hooks.finish(_NOTHING), *client.finish(bifrost_settings.CLIENT)]
    return settings


def _origins(client: Section) -> tuple[str, ...]:
    """As browsers write them: in lower case, with nothing behind the host and port."""
    found = tuple(each.rstrip("/").lower() for each in client.texts("allowed_origins"))
    for index, origin in enumerate(found):
        if not _ORIGIN.fullmatch(origin):
            message = f'expected "*" or an origin such as https://app.example or https://*.app.example, got "{origin}"'
            raise client.fail(f"allowed_origins[{index}]", message)
    return found


def _redis(redis: Section, environ: Mapping[str, str], warnings: list[str]) -> RedisSettings:
    default = Section({"HERMOD_REDIS_URL": environ.get("HERMOD_REDIS_URL") or None}, "environment", environ)
    schemes = ("redis", "rediss", "unix")
    url = redis.url("url", schemes) or default.url("HERMOD_REDIS_URL", schemes)
    warnings += redis.finish()
    return RedisSettings(url=url) if url else RedisSettings()


def _encryption(encryption: Section, warnings: list[str]) -> EncryptionSettings:
    settings = EncryptionSettings(master_keys=tuple(_master_keys(encryption)))
    warnings += encryption.finish()
    return settings


def _master_keys(encryption: Section) -> Iterator[bytes]:
    for index, text in enumerate(encryption.texts("keys", secret=True)):
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != _ENCRYPTION_KEY_BYTES:
            expected = "expected 32 bytes in base64, as `openssl rand -base64 32` prints them"
            raise encryption.fail(f"keys[{index}]", expected)
        yield key


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
    if settings.endpoint and (not _BUCKET.fullmatch(settings.bucket) or _NO_BUCKET.search(settings.bucket)):
        raise store.fail("bucket", "expected 3 to 63 letters, digits, single dots and hyphens, as S3 names buckets")
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
        fetch_allow=tuple(_allowed_host(worker, *entry) for entry in enumerate(worker.texts("fetch_allow"))),
        metrics_port=_port(worker, "metrics_port", default.metrics_port),
        send_traceparent=worker.flag("send_traceparent", default=False),
    )
    if settings.renew_s * 2 > settings.lease_s:
        raise worker.fail("renew_s", f"expected at most half of lease_s, {settings.lease_s:g}, so that one may fail")
    warnings += worker.finish()
    return settings


def _port(section: Section, key: str, default: int) -> int:
    port = section.integer(key, default)
    if port > _LAST_PORT:
        raise section.fail(key, f"expected at most {_LAST_PORT}, got {port}")
    return port


def _allowed_host(worker: Section, index: int, entry: str) -> AllowedHost:
    try:
        return allowed_host(entry)
    except ValueError as error:
        message = f'expected a host, an address or a CIDR, as in media.example.com:8080 or 10.1.0.0/16, got "{entry}"'
        raise worker.fail(f"fetch_allow[{index}]", message) from error
