"""How providers are reached: `network_config` and `proxy_config` of config.json, and what a wrong one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.config_report import config_report
from shared.allowed_hosts import allowed_host
from shared.config_file import Loaded, load
from shared.masked import SettingsError
from shared.network_settings import ProxySettings, StreamGuard
from shared.provider_settings import NetworkSettings
from tests.unit.certificates import self_signed

AT = "providers.openai"
SECRETS = {"PROXY_PASSWORD": "p@ss/word", "PROXY_URL": "http://10.0.0.1:3128", "KEY": "sk-test"}


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    def read(provider: dict[str, Any], worker: dict[str, Any] | None = None, *, secrets: bool = True) -> Loaded:
        openai = {"keys": [{"name": "k", "value": "env.KEY"}], **provider}
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"providers": {"openai": openai}, "worker": worker or {}}))
        return load(str(path), SECRETS if secrets else {}, secrets=secrets)

    return read


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return self_signed(tmp_path_factory.mktemp("tls"))[1].read_text()


def network(found: Loaded) -> NetworkSettings:
    return found.settings.providers["openai"].network


def test_without_anything_the_defaults_hold(loaded: Any) -> None:
    assert network(loaded({})) == NetworkSettings()


def test_every_setting_is_read(loaded: Any, pem: str) -> None:
    given = {
        "default_request_timeout_in_seconds": 300,
        "connect_timeout_in_seconds": 3.5,
        "stream_idle_timeout_in_seconds": 30,
        "keep_alive_timeout_in_seconds": 45,
        "max_conns_per_host": 50,
        "max_response_mb": 8,
        "stream_throughput_guard": {"minimum_output_characters_per_second": 20, "probe_window_in_seconds": 3},
        "extra_headers": {"X-Team": "blue"},
        "beta_header_overrides": {"redact-thinking-": True, "context-1m": False},
        "retry_backoff_initial": "250ms",
        "retry_backoff_max": "1m1.5s",
        "ca_cert_pem": pem,
        "insecure_skip_verify": False,
    }
    found = loaded({"network_config": given})
    assert found.warnings == ()
    assert network(found) == NetworkSettings(
        default_request_timeout_in_seconds=300,
        connect_timeout_in_seconds=3.5,
        stream_idle_timeout_in_seconds=30,
        keep_alive_timeout_in_seconds=45,
        max_conns_per_host=50,
        max_response_mb=8,
        stream_throughput_guard=StreamGuard(minimum_output_characters_per_second=20, probe_window_in_seconds=3),
        extra_headers={"X-Team": "blue"},
        beta_header_overrides={"redact-thinking-": True, "context-1m": False},
        retry_backoff_initial_ms=250,
        retry_backoff_max_ms=61_500,
        ca_cert_pem=pem,
    )


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ({}, ProxySettings()),
        ({"type": "environment"}, ProxySettings()),
        ({"type": "none"}, ProxySettings(type="none")),
        ({"type": "http", "url": "env.PROXY_URL"}, ProxySettings(type="http", url="http://10.0.0.1:3128")),
        (
            {"type": "http", "url": "https://p.test:1/", "username": "a@b", "password": "env.PROXY_PASSWORD"},
            ProxySettings(type="http", url="https://a%40b:p%40ss%2Fword@p.test:1"),
        ),
    ],
)
def test_a_proxy_is_read(loaded: Any, proxy: dict[str, str], expected: ProxySettings) -> None:
    found = loaded({"proxy_config": proxy})
    assert network(found).proxy == expected
    assert found.warnings == ()


def test_the_password_of_a_proxy_is_never_shown(loaded: Any) -> None:
    proxy = {"type": "http", "url": "http://p.test", "username": "ann", "password": "env.PROXY_PASSWORD"}
    found = loaded({"proxy_config": proxy})
    shown = [repr(found), *config_report(found, "config.json")]
    assert any("p.test" in line for line in shown)
    assert not [line for line in shown if "p@ss" in line or "p%40ss" in line]


def test_the_api_process_reads_nothing_that_may_be_a_credential_or_a_reference(loaded: Any) -> None:
    given = {
        "network_config": {"ca_cert_pem": "env.CA", "extra_headers": {"x": "env.X"}, "max_retries": 7},
        "proxy_config": {"type": "http", "url": "env.PROXY_URL"},
    }
    assert network(loaded(given, secrets=False)) == NetworkSettings(max_retries=7)


def test_certificates_that_are_not_checked_are_a_warning(loaded: Any) -> None:
    found = loaded({"network_config": {"insecure_skip_verify": True}})
    assert network(found).insecure_skip_verify
    (warning,) = found.warnings
    assert warning.startswith(f"{AT}.network_config.insecure_skip_verify: certificates are not checked")


@pytest.mark.parametrize("name", ["enforce_http2", "allow_private_network"])
def test_what_only_bifrost_has_is_a_warning(loaded: Any, name: str) -> None:
    (warning,) = loaded({"network_config": {name: True}}).warnings
    assert warning.startswith(f"{AT}.network_config.{name}: ")


@pytest.mark.parametrize(
    ("section", "given", "path"),
    [
        ("network_config", {"connect_timeout_in_seconds": 0}, "connect_timeout_in_seconds"),
        ("network_config", {"connect_timeout_in_seconds": "3"}, "connect_timeout_in_seconds"),
        ("network_config", {"keep_alive_timeout_in_seconds": -1}, "keep_alive_timeout_in_seconds"),
        ("network_config", {"max_conns_per_host": 1.5}, "max_conns_per_host"),
        ("network_config", {"max_response_mb": 0}, "max_response_mb"),
        ("network_config", {"insecure_skip_verify": "yes"}, "insecure_skip_verify"),
        ("network_config", {"ca_cert_pem": "not PEM"}, "ca_cert_pem"),
        (
            "network_config",
            {"ca_cert_pem": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"},
            "ca_cert_pem",
        ),
        ("network_config", {"extra_headers": {"a b": "c"}}, "extra_headers.a b"),
        ("network_config", {"extra_headers": {"x": "a\r\nb: c"}}, "extra_headers.x"),
        ("network_config", {"extra_headers": {"Host": "a"}}, "extra_headers.Host"),
        ("network_config", {"beta_header_overrides": {"a-": "no"}}, "beta_header_overrides.a-"),
        ("network_config", {"retry_backoff_initial": "2"}, "retry_backoff_initial"),
        ("network_config", {"retry_backoff_max": "-2s"}, "retry_backoff_max"),
        ("network_config", {"retry_backoff_max": "2 s"}, "retry_backoff_max"),
        ("network_config", {"retry_backoff_max": 0.5}, "retry_backoff_max"),
        ("network_config", {"stream_throughput_guard": 5}, "stream_throughput_guard"),
        (
            "network_config",
            {"stream_throughput_guard": {"minimum_output_characters_per_second": -1}},
            "stream_throughput_guard.minimum_output_characters_per_second",
        ),
        (
            "network_config",
            {"stream_throughput_guard": {"probe_window_in_seconds": 0}},
            "stream_throughput_guard.probe_window_in_seconds",
        ),
        ("proxy_config", {"type": "socks5", "url": "socks5://p.test:1080"}, "type"),
        ("proxy_config", {"type": "magic"}, "type"),
        ("proxy_config", {"type": "http"}, "url"),
        ("proxy_config", {"type": "http", "url": "p.test:3128"}, "url"),
        ("proxy_config", {"type": "none", "url": "http://p.test"}, "url"),
        ("proxy_config", {"type": "http", "url": "http://a:b@p.test", "username": "c"}, "username"),
        ("proxy_config", {"type": "http", "url": "http://p.test", "password": "c"}, "username"),
        ("proxy_config", {"type": "http", "url": "http://p.test", "ca_cert_pem": "x"}, "ca_cert_pem"),
        ("proxy_config", {"typ": "http"}, "typ"),
    ],
)
def test_a_wrong_setting_stops_the_start_naming_its_path(
    loaded: Any, section: str, given: dict[str, Any], path: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({section: given})
    assert caught.value.path == f"{AT}.{section}.{path}"


def test_what_is_set_is_reported(loaded: Any, pem: str) -> None:
    given = {
        "network_config": {
            "connect_timeout_in_seconds": 3.5,
            "max_conns_per_host": 50,
            "max_response_mb": 8,
            "stream_throughput_guard": {"minimum_output_characters_per_second": 20},
            "ca_cert_pem": pem,
            "insecure_skip_verify": True,
        },
        "proxy_config": {"type": "none"},
    }
    lines = [
        line.strip() for line in config_report(loaded(given, {"fetch_allow": ["media.internal:9000"]}), "config.json")
    ]
    for expected in (
        "connect timeout 3.5 s",
        "at most 50 connections to a host, from each worker",
        "answers up to 8 MiB",
        "streams of at least 20 characters/s over 5 s",
        "proxy none",
        "authorities of its own",
        "certificates are not checked",
        "may fetch from media.internal, port 9000",
    ):
        assert expected in lines


def test_hosts_to_fetch_from_are_read(loaded: Any) -> None:
    entries = ["media.internal", "10.1.0.0/16:8080", "[fd00::1]:9000"]
    assert loaded({}, {"fetch_allow": entries}).settings.worker.fetch_allow == tuple(map(allowed_host, entries))


def test_a_host_to_fetch_from_that_is_none_stops_the_start(loaded: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({}, {"fetch_allow": ["media.internal", "http://media.internal"]})
    assert caught.value.path == "worker.fetch_allow[1]"
