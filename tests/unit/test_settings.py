import json
import logging
from pathlib import Path
from typing import Any

import pytest

from shared import logs
from shared.config_environment import KEY_VARIABLES, environment_config, ollama_url, simulator_config
from shared.config_file import Loaded, load
from shared.governance_settings import VirtualKey
from shared.masked import SettingsError
from shared.provider_settings import PROVIDER_NAMES, AzureKey, BedrockKey, ProviderKey, RateLimits, VertexKey
from shared.settings import ClientSettings, ObjectStoreSettings, RedisSettings, Settings, WorkerSettings

KEY = "sk-ant-a-real-looking-secret-0123456789"
ONE_KEY = {"keys": [{"value": "k"}]}


@pytest.fixture
def loaded(tmp_path: Path):
    def read(document: Any, environ: dict[str, str] | None = None, *, secrets: bool = True) -> Loaded:
        path = tmp_path / "config.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return load(str(path), environ or {}, secrets=secrets)

    return read


BIFROST_EXAMPLE = {
    "$schema": "https://www.getbifrost.ai/schema",
    "encryption_key": "env.GW_ENCRYPTION_KEY",
    "client": {
        "enforce_auth_on_inference": True,
        "async_job_result_ttl": 7200,
        "allowed_origins": ["https://ops.example"],
        "header_filter_config": {"allowlist": ["X-Trace-*"], "denylist": ["X-Secret"]},
        "max_request_body_size_mb": 100,
        "max_file_mb": 64,
        "drop_excess_requests": False,
    },
    "providers": {
        "anthropic": {
            "keys": [
                {
                    "name": "a1",
                    "value": "env.ANTHROPIC_API_KEY",
                    "models": ["claude-haiku-5-5"],
                    "weight": 2,
                    "use_for_batch_api": True,
                },
                {"name": "off", "value": "env.NOT_SET", "enabled": False},
            ],
            "network_config": {
                "default_request_timeout_in_seconds": 300,
                "max_retries": 4,
                "retry_backoff_initial": 250,
                "retry_backoff_max": 4000,
                "stream_idle_timeout_in_seconds": 30,
                "extra_headers": {"x-team": "env.TEAM"},
            },
            "concurrency_and_buffer_size": {"concurrency": 200, "buffer_size": 1000},
        },
        "ollama": {"network_config": {"base_url": "http://ollama:11434/v1/"}},
        "mine": {
            "keys": [{"value": ""}],
            "network_config": {"base_url": "https://models.example.com/v1"},
            "custom_provider_config": {"base_provider_type": "openai", "is_key_less": True},
        },
    },
    "redis": {"url": "rediss://user:pass@redis.example:6380/1"},
    "object_store": {"endpoint": "s3.example:9000", "access_key": "env.S3_ID", "secret_key": "env.S3_SECRET"},
    "worker": {"slots": 50, "lease_s": 20, "renew_s": 5.5},
    "public_url": "https://gateway.example/llm/",
}
ENVIRON = {"ANTHROPIC_API_KEY": KEY, "TEAM": "blue", "S3_ID": "id", "S3_SECRET": "hush"}


def test_a_bifrost_file_with_our_sections_is_read_whole(loaded):
    settings = loaded(BIFROST_EXAMPLE, ENVIRON).settings
    assert settings.client.async_job_result_ttl == 7200
    assert settings.client.max_request_body_size_mb == 100
    assert settings.client.max_file_mb == 64
    assert settings.client.enforce_auth_on_inference
    assert settings.client.allowed_origins == ("https://ops.example",)
    assert settings.client.header_filter_config.allowlist == ("x-trace-*",)
    assert settings.client.header_filter_config.denylist == ("x-secret",)
    anthropic = settings.providers["anthropic"]
    assert anthropic.keys == (ProviderKey(name="a1", value=KEY, models=("claude-haiku-5-5",), weight=2.0),)
    assert anthropic.network.retry_backoff_initial_ms == 250
    assert anthropic.network.retry_backoff_max_ms == 4000
    assert anthropic.network.default_request_timeout_in_seconds == 300
    assert anthropic.network.stream_idle_timeout_in_seconds == 30
    assert anthropic.network.max_retries == 4
    assert anthropic.network.extra_headers == {"x-team": "blue"}
    assert anthropic.base_provider_type is None
    assert settings.providers["ollama"].key_less
    assert settings.providers["ollama"].network.base_url == "http://ollama:11434/v1"
    assert settings.providers["mine"].base_provider_type == "openai"
    assert settings.redis.url == "rediss://user:pass@redis.example:6380/1"
    assert (settings.object_store.access_key, settings.object_store.secret_key) == ("id", "hush")
    assert (settings.worker.slots, settings.worker.lease_s, settings.worker.renew_s) == (50, 20, 5.5)
    assert settings.public_url == "https://gateway.example/llm"


def test_limits_and_fallbacks_are_read(loaded):
    limits = {"requests_per_minute": 600, "models": {"big": {"tokens_per_minute": 9000}}}
    provider = {"keys": [{"value": "sk", "rate_limits": limits}], "concurrency_and_buffer_size": {"concurrency": 8}}
    document = {"providers": {"openai": provider}, "fallbacks": {"openai/gpt": ["anthropic/claude"]}}
    settings = loaded(document).settings
    [key] = settings.providers["openai"].keys
    assert key.rate_limits == RateLimits(requests_per_minute=600)
    assert key.model_limits == {"big": RateLimits(tokens_per_minute=9000)}
    assert settings.providers["openai"].concurrency == 8
    assert settings.fallbacks == {"openai/gpt": ("anthropic/claude",)}


@pytest.mark.parametrize("limits", [{"requests_per_minut": 1}, {"models": {"big": {"requests": 1}}}])
def test_a_misspelt_limit_stops_the_start(loaded, limits):
    with pytest.raises(SettingsError, match="rate_limits"):
        loaded({"providers": {"openai": {"keys": [{"value": "sk", "rate_limits": limits}]}}})


def test_each_setting_of_bifrosts_that_is_not_supported_is_a_warning_naming_it(loaded):
    warnings = loaded(BIFROST_EXAMPLE, ENVIRON).warnings
    assert [line.partition(":")[0] for line in warnings] == [
        "encryption_key",
        "client.drop_excess_requests",
    ]


def test_an_unheard_of_setting_in_a_section_of_bifrosts_is_a_warning(loaded):
    assert loaded({"client": {"zzz_from_the_future": 1}}).warnings == (
        "client.zzz_from_the_future: unknown setting; ignored",
    )


GOVERNED = {
    "client": {"max_jobs_per_key": 50, "max_running_jobs_per_key": 5},
    "governance": {
        "virtual_keys": [
            {"id": "vk1", "name": "a", "value": "env.VK_A", "weight": 2.5, "max_jobs": 9, "max_running_jobs": 0},
            {"value": "anything", "is_active": False, "mcp_configs": []},
        ],
        "routing_rules": [],
    },
}


def test_virtual_keys_are_read_with_their_shares_and_take_the_rest_from_the_client_section(loaded):
    for secrets in (True, False):
        read = loaded(GOVERNED, {"VK_A": "sk-bf-of-team-a"}, secrets=secrets)
        first = VirtualKey(id="vk1", name="a", value="sk-bf-of-team-a", weight=2.5, max_jobs=9, max_running_jobs=0)
        name = "virtual-key-2"
        second = VirtualKey(id=name, name=name, value="anything", active=False, max_jobs=50, max_running_jobs=5)
        assert read.settings.virtual_keys == (first, second)
    assert "sk-bf-of-team-a" not in repr(read.settings)
    assert [line.partition(":")[0] for line in read.warnings] == [
        "governance.virtual_keys[1].mcp_configs",
        "governance.routing_rules",
    ]


def test_an_empty_file_gives_the_documented_defaults(loaded):
    assert loaded({}).settings == Settings()
    assert Settings().client == ClientSettings(async_job_result_ttl=3600, async_job_result_ttl_max=604_800)
    assert Settings().worker == WorkerSettings(slots=200, lease_s=10, renew_s=3, grace_s=25)
    assert Settings().redis.url == "redis://127.0.0.1:6379/0"


WRONG = [
    ({"client": 3}, "client", "expected an object, got 3"),
    ({"client": {"async_job_result_ttl": "x"}}, "client.async_job_result_ttl", 'expected a whole number, got "x"'),
    ({"client": {"async_job_result_ttl": 0}}, "client.async_job_result_ttl", "expected at least 1, got 0"),
    ({"client": {"async_job_result_ttl": 1.5}}, "client.async_job_result_ttl", "expected a whole number, got 1.5"),
    (
        {"client": {"async_job_result_ttl": 700_000}},
        "client.async_job_result_ttl",
        "expected at most async_job_result_ttl_max, 604800",
    ),
    (
        {"client": {"async_job_result_tll": 5}},
        "client.async_job_result_tll",
        "unknown setting; did you mean async_job_result_ttl?",
    ),
    (
        {"client": {"enforce_auth_on_inference": "yes"}},
        "client.enforce_auth_on_inference",
        'expected true or false, got "yes"',
    ),
    ({"client": {"allowed_origins": "*"}}, "client.allowed_origins", 'expected an array, got "*"'),
    ({"client": {"allowed_origins": ["*", 7]}}, "client.allowed_origins[1]", "expected a string, got 7"),
    (
        {"client": {"allowed_origins": ["https://a.example", "a.example"]}},
        "client.allowed_origins[1]",
        'expected "*" or an origin such as https://app.example or https://*.app.example, got "a.example"',
    ),
    ({"provider": {}}, "provider", "unknown setting; did you mean providers?"),
    ({"redsi": {}}, "redsi", "unknown setting; did you mean redis?"),
    ({"redis": {"uri": "redis://a"}}, "redis.uri", "unknown setting; there are: url"),
    (
        {"redis": {"url": "localhost"}},
        "redis.url",
        "expected a URL that begins with redis:// or rediss:// or unix://",
    ),
    ({"redis": {"url": "env.NOT_SET"}}, "redis.url", "environment variable NOT_SET is not set"),
    ({"worker": {"slot": 5}}, "worker.slot", "unknown setting; did you mean slots?"),
    ({"worker": {"slots": True}}, "worker.slots", "expected a whole number, got true"),
    ({"worker": {"lease_s": 0}}, "worker.lease_s", "expected more than 0, got 0"),
    (
        {"worker": {"renew_s": 6}},
        "worker.renew_s",
        "expected at most half of lease_s, 10, so that one may fail",
    ),
    (
        {"object_store": {"path": "/a", "endpoint": "b"}},
        "object_store.path",
        "give either a folder (path) or an S3 server (endpoint)",
    ),
    (
        {"object_store": {"endpoint": "http://s3"}},
        "object_store.endpoint",
        "expected host or host:port; object_store.secure chooses http or https",
    ),
    (
        {"object_store": {"endpoint": "s3", "access_key": "a"}},
        "object_store.secret_key",
        "missing; its partner is given",
    ),
    ({"client": {"max_jobs_per_key": 0}}, "client.max_jobs_per_key", "expected at least 1, got 0"),
    (
        {"governance": {"virtual_keys": [{"value": "a", "max_running_job": 1}]}},
        "governance.virtual_keys[0].max_running_job",
        "unknown setting; did you mean max_running_jobs?",
    ),
    (
        {"governance": {"virtual_keys": [{"value": "a", "weight": 0}]}},
        "governance.virtual_keys[0].weight",
        "expected more than 0, got 0",
    ),
    (
        {"governance": {"virtual_keys": [{"name": "a"}]}},
        "governance.virtual_keys[0].value",
        "missing; give the key or a reference, as in env.TEAM_KEY",
    ),
    (
        {"governance": {"virtual_keys": [{"name": "a", "value": "same"}, {"name": "b", "value": "same"}]}},
        "governance.virtual_keys[1].value",
        'the same as that of "a"',
    ),
    (
        {"governance": {"virtual_keys": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}},
        "governance.virtual_keys[1].name",
        '"a" is the name of an earlier key',
    ),
    ({"public_url": "gateway"}, "public_url", "expected a URL that begins with http:// or https://"),
    (
        {"providers": {"opena": ONE_KEY}},
        "providers.opena",
        "unknown provider; did you mean openai? a provider of your own needs custom_provider_config",
    ),
    (
        {"providers": {"zzz": ONE_KEY}},
        "providers.zzz",
        "unknown provider; a provider of your own needs custom_provider_config",
    ),
    (
        {"providers": {"mine": {"custom_provider_config": {"base_provider_type": "cobol"}}}},
        "providers.mine.custom_provider_config.base_provider_type",
        "expected one of anthropic, bedrock, gemini, openai",
    ),
    (
        {"providers": {"mine": {**ONE_KEY, "custom_provider_config": {"base_provider_type": "openai"}}}},
        "providers.mine.network_config.base_url",
        "missing; mine needs one, as in https://models.example.com/v1",
    ),
    (
        {"providers": {"azure": ONE_KEY}},
        "providers.azure.keys[0].azure_key_config.endpoint",
        "missing; azure needs one, as in https://<resource>.openai.azure.com",
    ),
    ({"providers": {"openai": {}}}, "providers.openai.keys", "expected at least one key"),
    (
        {"providers": {"openai": {"keys": [{"value": "k", "weight": "x"}]}}},
        "providers.openai.keys[0].weight",
        'expected a number, got "x"',
    ),
    (
        {"providers": {"openai": {"keys": [{"value": "k", "weight": -1}]}}},
        "providers.openai.keys[0].weight",
        "expected at least 0, got -1",
    ),
    (
        {"providers": {"openai": {"keys": [{"value": 12345}]}}},
        "providers.openai.keys[0].value",
        "expected a string, got something else",
    ),
    (
        {"providers": {"openai": {"keys": [{"name": "a"}]}}},
        "providers.openai.keys[0].value",
        "missing; give the key or a reference, as in env.MY_KEY",
    ),
    (
        {"providers": {"openai": {"keys": [{"value": "env.NOT_SET"}]}}},
        "providers.openai.keys[0].value",
        "environment variable NOT_SET is not set",
    ),
    (
        {"providers": {"openai": {"keys": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}}},
        "providers.openai.keys[1].name",
        '"a" is the name of an earlier key',
    ),
    (
        {"providers": {"openai": {**ONE_KEY, "network_config": {"max_retry": 1}}}},
        "providers.openai.network_config.max_retry",
        "unknown setting; did you mean max_retries?",
    ),
    (
        {"providers": {"openai": {**ONE_KEY, "network_config": {"base_url": "ftp://x"}}}},
        "providers.openai.network_config.base_url",
        "expected a URL that begins with http:// or https://",
    ),
]


@pytest.mark.parametrize(("document", "path", "message"), WRONG, ids=[f"{row[1]}: {row[2][:30]}" for row in WRONG])
def test_a_wrong_setting_stops_the_start_with_its_path(loaded, document, path, message):
    with pytest.raises(SettingsError) as caught:
        loaded(document)
    assert (caught.value.path, caught.value.message) == (path, message)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        ("[]", "expected a JSON object"),
    ],
)
def test_a_file_that_is_no_json_object_stops_the_start(loaded, text, message):
    with pytest.raises(SettingsError, match=r"config\.json") as caught:
        loaded(text)
    assert caught.value.message == message


def test_not_a_number_is_not_a_number(loaded):
    with pytest.raises(SettingsError, match="expected a number, got NaN"):
        loaded('{"worker": {"lease_s": NaN}}')


def test_a_missing_file_stops_the_start():
    with pytest.raises(SettingsError) as caught:
        load("/nowhere/config.json", {}, secrets=True)
    assert str(caught.value) == "/nowhere/config.json: cannot be read: No such file or directory"


def test_the_api_process_gets_no_provider_key_and_needs_none_of_their_variables(loaded):
    document = {
        "providers": {
            "openai": {
                "keys": [{"value": "env.NOT_SET"}, {"value": KEY}],
                "network_config": {"base_url": "env.ALSO_NOT_SET", "extra_headers": {"x-key": KEY}, "max_retries": 5},
            }
        }
    }
    openai = loaded(document, secrets=False).settings.providers["openai"]
    assert openai.keys == ()
    assert openai.network.base_url is None
    assert openai.network.extra_headers == {}
    assert openai.network.max_retries == 5


def test_a_file_without_providers_gets_those_of_the_environment(loaded):
    settings = loaded({"worker": {"slots": 3}}, {"OPENAI_API_KEY": KEY}).settings
    assert list(settings.providers) == ["openai"]
    assert settings.worker.slots == 3


def test_a_file_with_an_empty_list_of_providers_has_none(loaded):
    assert loaded({"providers": {}}, {"OPENAI_API_KEY": KEY}).settings.providers == {}


@pytest.mark.parametrize("provider", sorted(KEY_VARIABLES))
def test_the_usual_variable_configures_the_provider(provider):
    environ = {KEY_VARIABLES[provider]: KEY, "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}
    settings = load(None, environ, secrets=True).settings
    assert list(settings.providers) == [provider]
    assert settings.providers[provider].keys[0].value == KEY
    assert settings.providers[provider].network.base_url is None


def test_azure_without_its_endpoint_is_left_out_and_said():
    loaded = load(None, {"AZURE_OPENAI_API_KEY": KEY}, secrets=True)
    assert loaded.settings.providers == {}
    assert loaded.warnings == ("AZURE_OPENAI_API_KEY: set without AZURE_OPENAI_ENDPOINT; azure is left out",)


@pytest.mark.parametrize(
    ("environ", "provider", "base_url"),
    [
        ({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "https://proxy/a/"}, "anthropic", "https://proxy/a"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://proxy/v1"}, "openai", "https://proxy/v1"),
        ({"OLLAMA_HOST": "gpu"}, "ollama", "http://gpu:11434/v1"),
    ],
)
def test_base_urls_come_from_the_environment(environ, provider, base_url):
    assert load(None, environ, secrets=True).settings.providers[provider].network.base_url == base_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),  # noqa: S104 - nothing is bound
        (":8000", "http://127.0.0.1:8000/v1"),
        ("gpu.lan", "http://gpu.lan:11434/v1"),
        ("http://gpu.lan:1234/", "http://gpu.lan:1234/v1"),
        ("https://ollama.example", "https://ollama.example/v1"),
        ("https://ollama.example/prefix/", "https://ollama.example/prefix/v1"),
        ("[::]:11434", "http://[::1]:11434/v1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host, url):
    assert ollama_url(host) == url


def test_redis_url_of_the_environment_yields_to_the_file(loaded):
    environ = {"HERMOD_REDIS_URL": "redis://elsewhere:1/0"}
    assert loaded({}, environ).settings.redis.url == "redis://elsewhere:1/0"
    assert loaded({"redis": {"url": "redis://file:2/0"}}, environ).settings.redis.url == "redis://file:2/0"
    with pytest.raises(SettingsError, match=r"^environment\.HERMOD_REDIS_URL: expected a URL"):
        loaded({}, {"HERMOD_REDIS_URL": "elsewhere"})


def test_the_environments_document_holds_references_not_keys():
    environ = dict.fromkeys([*KEY_VARIABLES.values(), "OLLAMA_HOST"], KEY) | {"AZURE_OPENAI_ENDPOINT": "https://x"}
    document = json.dumps(environment_config({**environ, "OLLAMA_HOST": "gpu"}))
    assert KEY not in document
    assert '"env.ANTHROPIC_API_KEY"' in document


def test_the_simulators_document_loads(loaded):
    settings = loaded(simulator_config("http://127.0.0.1:9")).settings
    assert {name: provider.network.base_url for name, provider in settings.providers.items()} == {
        "anthropic": "http://127.0.0.1:9",
        "openai": "http://127.0.0.1:9/v1",
        "azure": None,
        "gemini": "http://127.0.0.1:9/gemini/v1beta",
        "vertex": "http://127.0.0.1:9/vertex",
        "bedrock": "http://127.0.0.1:9/bedrock",
        "ollama": "http://127.0.0.1:9/ollama/v1",
    }
    assert settings.providers["anthropic"].keys[0].value == "simulator"
    assert settings.providers["azure"].keys[0].azure == AzureKey(endpoint="http://127.0.0.1:9/azure")
    assert settings.providers["vertex"].keys[0].vertex == VertexKey(project_id="simulator", region="us-central1")
    assert settings.providers["bedrock"].keys[0].bedrock == BedrockKey(
        region="us-east-1", access_key="simulator", secret_key="simulator"
    )


def test_every_provider_of_the_environment_is_known():
    assert set(KEY_VARIABLES) <= PROVIDER_NAMES


def test_no_credential_is_shown(loaded):
    settings = loaded(BIFROST_EXAMPLE, ENVIRON).settings
    for shown in (repr(settings), str(settings), f"{settings.providers['anthropic'].keys}"):
        for secret in (KEY, "hush", "user:pass", "blue"):
            assert secret not in shown
    assert repr(ProviderKey(name="a", value=KEY)).startswith("ProviderKey(name='a', value='***', models=('*',)")
    assert KEY not in repr(BedrockKey(region="r", access_key="a", secret_key=KEY, session_token=KEY))
    assert KEY not in repr(AzureKey(endpoint="https://a", client_secret=KEY))
    assert KEY not in repr(VertexKey(project_id="p", region="r", auth_credentials=KEY))
    assert repr(RedisSettings(url="redis://:pw@h:1/0")) == "RedisSettings(url='redis://***@h:1/0')"
    assert "access_key='***', secret_key='***'" in repr(ObjectStoreSettings(access_key="a", secret_key="b"))


SECRETS_IN_LINES = [
    f"refused key {KEY}",
    f"header Authorization: Bearer {KEY}",
    f"headers {{'x-api-key': '{KEY}'}}",
    "connecting to redis://:sentinel-password@127.0.0.1:6379/0",
]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("line", SECRETS_IN_LINES)
def test_what_looks_like_a_key_never_reaches_a_log_line(line, log_format):
    formatter = logs.JsonFormatter() if log_format == "json" else logs.TextFormatter()
    try:
        raise ValueError(line)
    except ValueError as error:
        record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "%s", (line,), (type(error), error, None))
    shown = formatter.format(record)
    assert "[redacted]" in shown
    for secret in (KEY, "sentinel-password"):
        assert secret not in shown


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_log_line_carries_the_job_id_and_only_known_extras(log_format):
    formatter = logs.JsonFormatter() if log_format == "json" else logs.TextFormatter()
    record = logging.makeLogRecord({"name": "a.b", "msg": "done", "job_id": "j1", "prompt": "private words"})
    shown = formatter.format(record)
    assert "j1" in shown
    assert "private words" not in shown
    if log_format == "json":
        line = json.loads(shown)
        assert (line["logger"], line["message"], line["job_id"]) == ("a.b", "done", "j1")
