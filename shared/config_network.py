"""Reads `network_config` and `proxy_config` of a provider of config.json: Bifrost's shape."""

from __future__ import annotations

import re
import ssl
from urllib.parse import quote, urlsplit

from shared import bifrost_settings
from shared.config_section import Section, describe
from shared.network_settings import ProxySettings, StreamGuard
from shared.provider_settings import NetworkSettings

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_ABOUT_THE_MESSAGE = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""Headers that are the connection's own."""
_BREAKS = re.compile(r"[\x00-\x1f\x7f]")


def network_settings(provider: Section, warnings: list[str], *, secrets: bool) -> NetworkSettings:
    """How the provider is reached; without `secrets` nothing that may hold a credential or a reference.

    Raises:
        SettingsError: naming the path of the field that is wrong.
    """
    network, default = provider.section("network_config"), NetworkSettings()
    network.ignore("base_url", "extra_headers", "ca_cert_pem")
    provider.ignore("proxy_config")
    settings = NetworkSettings(
        base_url=network.url("base_url") if secrets else None,
        default_request_timeout_in_seconds=network.number(
            "default_request_timeout_in_seconds", default.default_request_timeout_in_seconds
        ),
        connect_timeout_in_seconds=network.number("connect_timeout_in_seconds", default.connect_timeout_in_seconds),
        stream_idle_timeout_in_seconds=network.number(
            "stream_idle_timeout_in_seconds", default.stream_idle_timeout_in_seconds
        ),
        keep_alive_timeout_in_seconds=network.number(
            "keep_alive_timeout_in_seconds", default.keep_alive_timeout_in_seconds
        ),
        max_conns_per_host=network.integer("max_conns_per_host", default.max_conns_per_host),
        max_response_mb=network.integer("max_response_mb", default.max_response_mb, least=1),
        stream_throughput_guard=_guard(network, warnings),
        max_retries=network.integer("max_retries", default.max_retries),
        retry_backoff_initial_ms=network.milliseconds("retry_backoff_initial", default.retry_backoff_initial_ms),
        retry_backoff_max_ms=network.milliseconds("retry_backoff_max", default.retry_backoff_max_ms),
        retry_ambiguous=network.flag("retry_ambiguous", default=default.retry_ambiguous),
        extra_headers=_headers(network) if secrets else {},
        beta_header_overrides=_betas(network),
        ca_cert_pem=_authorities(network) if secrets else "",
        insecure_skip_verify=network.flag("insecure_skip_verify", default=False),
        proxy=_proxy(provider.section("proxy_config"), warnings) if secrets else default.proxy,
    )
    if settings.insecure_skip_verify:
        warnings.append(
            f"{network.at('insecure_skip_verify')}: certificates are not checked, so that whoever is on the way can"
            " read the provider's key; give ca_cert_pem instead"
        )
    warnings += network.finish(bifrost_settings.NETWORK)
    return settings


def _guard(network: Section, warnings: list[str]) -> StreamGuard | None:
    if "stream_throughput_guard" not in network:
        network.ignore("stream_throughput_guard")
        return None
    section, default = network.section("stream_throughput_guard"), StreamGuard()
    guard = StreamGuard(
        minimum_output_characters_per_second=section.integer("minimum_output_characters_per_second", 0),
        probe_window_in_seconds=section.integer("probe_window_in_seconds", default.probe_window_in_seconds, least=1),
    )
    warnings += section.finish(frozenset())
    return guard if guard.minimum_output_characters_per_second else None


def _headers(network: Section) -> dict[str, str]:
    headers = network.mapping("extra_headers", secret=True)
    for name, value in headers.items():
        at = f"extra_headers.{name}"
        if not _NAME.fullmatch(name):
            raise network.fail(at, "not a name of an HTTP header")
        if name.lower() in _ABOUT_THE_MESSAGE:
            raise network.fail(at, "belongs to the connection and cannot be set")
        if _BREAKS.search(value):
            raise network.fail(at, "holds a line break or another control character")
    return headers


def _betas(network: Section) -> dict[str, bool]:
    section = network.section("beta_header_overrides")
    return {name: section.flag(name, default=True) for name in section.names()}


def _authorities(section: Section) -> str:
    """PEM certificates that can be trusted; empty when there are none."""
    pem = section.text("ca_cert_pem", secret=True)
    if not pem:
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise section.fail(
            "ca_cert_pem", "expected certificates in PEM, -----BEGIN CERTIFICATE----- and so on"
        ) from error
    return f"{pem.strip()}\n"


def _proxy(proxy: Section, warnings: list[str]) -> ProxySettings:
    kind = proxy.text("type") or ProxySettings().type
    if kind == "socks5":
        raise proxy.fail("type", "socks5 is not served; give an http proxy, or none")
    url, user, password = proxy.url("url"), proxy.text("username"), proxy.text("password", secret=True)
    authorities = _authorities(proxy)
    warnings += proxy.finish(frozenset())
    match kind:
        case "environment" | "none":
            if url:
                raise proxy.fail("url", f'not used with type "{kind}"; leave it out or set type to "http"')
            return ProxySettings(type=kind, ca_cert_pem=authorities)
        case "http":
            if not url:
                raise proxy.fail("url", "missing; the proxy's address, as in http://proxy.example.com:3128")
            return ProxySettings(type="http", url=_with_user(proxy, url, user, password), ca_cert_pem=authorities)
        case _:
            raise proxy.fail("type", f"expected environment, http or none, got {describe(kind)}")


def _with_user(proxy: Section, url: str, user: str | None, password: str | None) -> str:
    if not user:
        if password:
            raise proxy.fail("username", "missing; its password is given")
        return url
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise proxy.fail("username", "url has a user already; give one of them")
    credentials = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return parts._replace(netloc=f"{credentials}@{parts.netloc}").geturl()
