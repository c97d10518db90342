"""Keys of the clouds and of local servers, as config.json and the environment give them."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.config_report import config_report
from deploy.private_files import api_environment
from shared.config_environment import environment_config
from shared.config_file import Loaded, load
from shared.masked import SettingsError
from shared.provider_settings import AzureKey, BatchBucket, BedrockKey, ProviderKey, VertexKey

SECRET = "a-real-looking-secret-0123456789"
ACCOUNT = json.dumps({"type": "service_account", "client_email": "a@b", "private_key": SECRET})


@pytest.fixture
def keys(tmp_path: Path):
    """The keys of one provider."""

    def read(provider: str, *entries: dict[str, Any], environ: dict[str, str] | None = None, **more: Any) -> Loaded:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"providers": {provider: {"keys": list(entries), **more}}}))
        return load(str(path), environ or {}, secrets=True)

    return read


def only(loaded: Loaded) -> ProviderKey:
    assert loaded.warnings == ()
    (provider,) = loaded.settings.providers.values()
    return provider.keys[0]


def test_an_azure_key_says_where_it_is_used_and_what_models_are_called_there(keys):
    block = {"endpoint": "env.AT", "deployments": {"gpt-4o": "four", "o3": "old"}, "api_version": "env.VERSION"}
    environ = {"AT": "https://me.openai.azure.com/openai/v1/", "VERSION": "2024-10-21", "KEY": SECRET}
    entry = {"value": "env.KEY", "azure_key_config": block, "aliases": {"o3": "new"}, "use_for_batch_api": False}
    key = only(keys("azure", {**entry, "blacklisted_models": ["gpt-2"]}, environ=environ))
    assert key.value == SECRET
    assert key.azure == AzureKey(endpoint="https://me.openai.azure.com", api_version="2024-10-21")
    assert key.aliases == {"gpt-4o": "four", "o3": "new"}
    assert not key.batches
    assert key.serves("gpt-4o")
    assert not key.serves("gpt-2")


def test_an_azure_key_without_an_endpoint_uses_the_providers_address(keys):
    network = {"base_url": "https://me.openai.azure.com"}
    key = only(keys("azure", {"value": "k", "azure_key_config": {"api_version": "v"}}, network_config=network))
    assert key.azure == AzureKey(endpoint="https://me.openai.azure.com", api_version="v")
    assert only(keys("azure", {"value": "k"}, network_config=network)).azure is None


def test_entra_is_a_credential_without_a_value(keys):
    who = {"client_id": "app", "client_secret": "env.SECRET", "tenant_id": "my-tenant"}
    entry = {"value": "", "azure_key_config": {"endpoint": "https://me.openai.azure.com", **who}}
    azure = only(keys("azure", entry, environ={"SECRET": SECRET})).azure
    assert azure is not None
    assert (azure.client_id, azure.client_secret, azure.tenant_id) == ("app", SECRET, "my-tenant")
    assert azure.authority == "https://login.microsoftonline.com"


def test_a_vertex_key_signs_with_an_account_or_with_what_the_machine_has(keys):
    block = {"project_id": "my-project", "region": "us-central1", "deployments": {"fast": "gemini-3-flash"}}
    entry = {"vertex_key_config": {**block, "auth_credentials": "env.ACCOUNT"}}
    signed = only(keys("vertex", entry, environ={"ACCOUNT": ACCOUNT}))
    assert signed.vertex == VertexKey(project_id="my-project", region="us-central1", auth_credentials=ACCOUNT)
    assert signed.aliases == {"fast": "gemini-3-flash"}
    machines = only(keys("vertex", {"value": "", "vertex_key_config": {**block, "auth_credentials": ""}}))
    assert machines.vertex == VertexKey(project_id="my-project", region="us-central1")


def test_a_bedrock_key_is_a_pair_a_bearer_or_what_the_machine_has(keys):
    pair = {"access_key": "AKIA", "secret_key": "env.SECRET", "session_token": "t", "region": "us-east-1"}
    environ = {"SECRET": SECRET}
    assert only(keys("bedrock", {"bedrock_key_config": pair}, environ=environ)).bedrock == BedrockKey(
        region="us-east-1", access_key="AKIA", secret_key=SECRET, session_token="t"
    )
    bearer = only(keys("bedrock", {"value": "b", "bedrock_key_config": {"region": "us-east-1"}}))
    assert (bearer.value, bearer.bedrock) == ("b", BedrockKey(region="us-east-1"))
    machines = only(keys("bedrock", {"bedrock_key_config": {"region": "us-east-1", "access_key": ""}}))
    assert (machines.value, machines.bedrock) == ("", BedrockKey(region="us-east-1"))


@pytest.mark.parametrize("provider", ["ollama", "vllm"])
def test_every_local_server_may_be_a_key_of_its_own(keys, provider):
    loaded = keys(provider, *({"name": n, f"{provider}_key_config": {"url": f"http://{n}:1/"}} for n in ("a", "b")))
    assert [key.base_url for key in loaded.settings.providers[provider].keys] == ["http://a:1", "http://b:1"]


def test_what_bifrost_knows_of_a_cloud_and_hermod_does_not_is_a_warning_naming_it(keys):
    loaded = keys(
        "bedrock",
        {
            "bedrock_key_config": {
                "region": "us-east-1",
                "arn": "a",
                "batch_s3_config": {"buckets": [{"bucket_name": "b", "acl": "x"}]},
            },
            "azure_key_config": {},
        },
    )
    assert [line.partition(":")[0] for line in loaded.warnings] == [
        "providers.bedrock.keys[0].bedrock_key_config.batch_s3_config.buckets[0].acl",
        "providers.bedrock.keys[0].bedrock_key_config.batch_s3_config.role_arn",
        "providers.bedrock.keys[0].bedrock_key_config.arn",
        "providers.bedrock.keys[0].azure_key_config",
    ]


def test_the_bucket_of_bedrocks_batches_is_the_default_one_or_the_first(keys):
    buckets = [{"bucket_name": "one"}, {"bucket_name": "two", "prefix": "/a/b/", "is_default": True}]
    role = "arn:aws:iam::123456789012:role/batch"

    def read(**facts):
        block = {"region": "eu-west-1", "batch_s3_config": {"role_arn": role, **facts}}
        return only(keys("bedrock", {"bedrock_key_config": block})).bedrock.batch

    usual = "https://s3.eu-west-1.amazonaws.com"
    assert read(buckets=buckets) == BatchBucket(bucket_name="two", prefix="a/b/", role_arn=role, endpoint=usual)
    first = BatchBucket(bucket_name="one", prefix="hermod/", role_arn=role, endpoint="http://s3:9000")
    assert read(buckets=buckets[:1], endpoint="http://s3:9000/") == first
    assert read() is None
    with pytest.raises(SettingsError, match="bucket_name"):
        read(buckets=[{"bucket_name": "a/b"}])


def custom(**facts: Any) -> dict[str, Any]:
    network = {"base_url": "https://models.example.com/v1"}
    return {"network_config": network, "custom_provider_config": {"base_provider_type": "openai", **facts}}


def test_a_custom_provider_says_what_it_may_be_asked_and_where(keys):
    allowed = {"chat_completion": True, "embedding": False, "speech": True}
    overrides = {"chat_completion": "/v2/chat"}
    loaded = keys("mine", {"value": "k"}, **custom(allowed_requests=allowed, request_path_overrides=overrides))
    assert loaded.warnings == ()
    mine = loaded.settings.providers["mine"]
    assert mine.allowed_requests == {"chat_completion", "speech"}
    assert mine.request_path_overrides == overrides
    assert keys("mine", {"value": "k"}, **custom()).settings.providers["mine"].allowed_requests is None


@pytest.mark.parametrize(
    ("facts", "path", "message"),
    [
        ({"allowed_requests": {"embedding": 1}}, "allowed_requests.embedding", "expected true or false, got 1"),
        ({"request_path_overrides": {"embedding": "https://x"}}, "request_path_overrides.embedding",
         "expected a path that begins with /"),
        ({"base_provider_type": "cohere"}, "base_provider_type", "expected one of anthropic, bedrock, gemini, openai"),
    ],
)  # fmt: skip
def test_a_wrong_custom_provider_stops_the_start_with_its_path(keys, facts, path, message):
    with pytest.raises(SettingsError) as caught:
        keys("mine", {"value": "k"}, **custom(**facts))
    assert (caught.value.path, caught.value.message) == (f"providers.mine.custom_provider_config.{path}", message)


AT = {"endpoint": "https://a"}
PLACE = {"project_id": "p", "region": "r"}


@pytest.mark.parametrize(
    ("provider", "entry", "path", "message"),
    [
        ("azure", {"azure_key_config": AT}, "value", "missing; give the key or a reference, as in env.MY_KEY"),
        ("azure", {"value": "k", "azure_key_config": {"endpoint": "me"}}, "azure_key_config.endpoint",
         "expected a URL that begins with http:// or https://"),
        ("azure", {"azure_key_config": {**AT, "client_id": "c", "tenant_id": "t"}}, "azure_key_config.client_secret",
         "missing; Entra needs client_id, client_secret and tenant_id"),
        ("azure", {"azure_key_config": {**AT, "client_id": "c", "client_secret": "s", "tenant_id": "evil/../t"}},
         "azure_key_config.tenant_id", "expected a name or UUID"),
        ("azure", {"azure_key_config": {**AT, "authority": "http://login"}}, "azure_key_config.authority",
         "expected a URL that begins with https://"),
        ("azure", {"value": "k", "azure_key_config": {"endpont": "https://a"}}, "azure_key_config.endpoint",
         "missing; azure needs one, as in https://<resource>.openai.azure.com"),
        ("azure", {"value": "k", "azure_key_config": {**AT, "deployments": {"gpt": 4}}},
         "azure_key_config.deployments.gpt", "expected a string, got 4"),
        ("vertex", {"vertex_key_config": {"region": "r"}}, "vertex_key_config.project_id", "missing; as in my-project"),
        ("vertex", {"vertex_key_config": {"project_id": "p", "region": "evil.example/"}}, "vertex_key_config.region",
         "expected letters, digits and hyphens, as in us-central1, or global"),
        ("vertex", {"vertex_key_config": {**PLACE, "auth_credentials": SECRET}}, "vertex_key_config.auth_credentials",
         "expected the JSON of a service account, or nothing for the machine's own"),
        ("vertex", {"vertex_key_config": {**PLACE, "auth_credentials": 5}}, "vertex_key_config.auth_credentials",
         "expected a string, got something else"),
        ("vertex", {"vertex_key_config": {"project_id": "env.GONE", "region": "r"}}, "vertex_key_config.project_id",
         "environment variable GONE is not set"),
        ("bedrock", {"value": "b"}, "bedrock_key_config.region", "missing; as in us-east-1"),
        ("bedrock", {"bedrock_key_config": {"region": "r", "access_key": "a"}}, "bedrock_key_config.secret_key",
         "missing; its partner is given"),
        ("ollama", {"ollama_key_config": {"url": "gpu:11434"}}, "ollama_key_config.url",
         "expected a URL that begins with http:// or https://"),
        ("openai", {"value": "k", "aliases": {"a": ["b"]}}, "aliases.a", "expected a string, got an array"),
        ("openai", {"value": "k", "use_for_batch_api": "no"}, "use_for_batch_api", 'expected true or false, got "no"'),
    ],
)  # fmt: skip
def test_a_wrong_key_stops_the_start_with_its_path(keys, provider, entry, path, message):
    with pytest.raises(SettingsError) as caught:
        keys(provider, entry)
    assert (caught.value.path, caught.value.message) == (f"providers.{provider}.keys[0].{path}", message)
    assert SECRET not in str(caught.value)


CLOUDS = {
    "AZURE_OPENAI_API_KEY": SECRET,
    "AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/",
    "AZURE_OPENAI_API_VERSION": "2024-10-21",
    "GOOGLE_APPLICATION_CREDENTIALS": "/secrets/account.json",
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "GOOGLE_CLOUD_LOCATION": "global",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": "eu-west-1",
}


def test_the_clouds_usual_variables_configure_them():
    loaded = load(None, CLOUDS, secrets=True)
    found = {name: provider.keys[0] for name, provider in loaded.settings.providers.items()}
    assert loaded.warnings == ()
    assert found["azure"].azure == AzureKey(endpoint="https://me.openai.azure.com", api_version="2024-10-21")
    assert found["vertex"].vertex == VertexKey(project_id="my-project", region="global")
    assert found["bedrock"].bedrock == BedrockKey(region="eu-west-1", access_key="AKIA", secret_key=SECRET)
    assert SECRET not in json.dumps(environment_config(CLOUDS))


def test_a_bearer_of_bedrocks_own_comes_before_the_pair():
    environ = {**CLOUDS, "AWS_BEARER_TOKEN_BEDROCK": "bearer"}
    key = load(None, environ, secrets=True).settings.providers["bedrock"].keys[0]
    assert (key.value, key.bedrock) == ("bearer", BedrockKey(region="eu-west-1"))


@pytest.mark.parametrize(
    ("gone", "given", "provider"),
    [
        ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "azure"),
        ("GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "vertex"),
        ("GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS", "vertex"),
    ],
)
def test_a_cloud_that_lacks_a_variable_is_left_out_and_said(gone, given, provider):
    loaded = load(None, {name: value for name, value in CLOUDS.items() if name != gone}, secrets=True)
    assert loaded.warnings == (f"{given}: set without {gone}; {provider} is left out",)
    assert set(loaded.settings.providers) == {"azure", "bedrock", "vertex"} - {provider}


def test_the_api_process_gets_no_variable_of_a_cloud_but_that_of_the_object_store():
    document = {"object_store": {"endpoint": "s3", "access_key": "env.AWS_ACCESS_KEY_ID"}, **environment_config(CLOUDS)}
    left = api_environment(document, {**CLOUDS, "PATH": "/bin"})
    assert left == {"PATH": "/bin", "AWS_ACCESS_KEY_ID": "AKIA"}


def test_the_report_shows_where_each_key_goes_and_no_credential(keys):
    who = {"client_id": "an-app", "client_secret": SECRET, "tenant_id": "t"}
    shown = [
        *config_report(keys("azure", {"azure_key_config": {"endpoint": "https://u:pw@me", **who}}), "f"),
        *config_report(keys("vertex", {"vertex_key_config": {**PLACE, "auth_credentials": ACCOUNT}}), "f"),
        *config_report(
            keys("bedrock", {"bedrock_key_config": {"region": "r", "access_key": "AKIA", "secret_key": SECRET}}), "f"
        ),
        *config_report(keys("ollama", {"ollama_key_config": {"url": "http://gpu:1"}, "aliases": {"a": "b"}}), "f"),
    ]
    assert "      at https://***@me, v1, signed by Entra for ***" in shown
    assert "      project p in r, credentials: ***" in shown
    assert "      region r, credentials: ***" in shown
    assert "      at http://gpu:1" in shown
    assert "      a is b there" in shown
    assert not [line for line in shown if SECRET in line or "AKIA" in line or "an-app" in line or "pw@" in line]
