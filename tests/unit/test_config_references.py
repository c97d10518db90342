"""References to the environment: which process needs which, and what is said when a variable is not set."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deploy.private_files import api_document, api_environment, worker_environment
from shared.config_file import load
from shared.masked import SettingsError
from shared.settings import Settings
from tests.unit.certificates import self_signed

SENTINEL = "sentinel-of-a-secret"
MASTER_KEY = bytes(range(32))


class Field(NamedTuple):
    """A field that may hold a secret. `read` finds in the settings what it was set to; `api`: the API needs it too.

    `worker` is false for what the API alone needs.
    """

    path: str
    read: Callable[[Settings], Any]
    api: bool = False
    value: str = ""
    worker: bool = True

    @property
    def variable(self) -> str:
        return "SET_" + "".join(letter if letter.isalnum() else "_" for letter in self.path).upper()

    @property
    def given(self) -> str:
        """What the variable is set to."""
        return self.value or f"{SENTINEL}-{self.variable.lower().replace('_', '-')}"


def key(provider: str) -> Callable[[Settings], Any]:
    return lambda settings: settings.providers[provider].keys[0] if settings.providers[provider].keys else None


def of_key(provider: str, *names: str) -> Callable[[Settings], Any]:
    def read(settings: Settings) -> Any:
        found = key(provider)(settings)
        for name in names:
            found = getattr(found, name, None)
        return found

    return read


def network(name: str) -> Callable[[Settings], Any]:
    return lambda settings: getattr(settings.providers["openai"].network, name)


ACCOUNT = json.dumps({"type": "service_account", "private_key": SENTINEL})
URL = f"https://user:{SENTINEL}@host.example"
WHSEC = "whsec_" + base64.b64encode(SENTINEL.encode() * 2).decode()
WHSEC_BEFORE = "whsec_" + base64.b64encode(SENTINEL.encode() * 3).decode()
AZURE, VERTEX, BEDROCK = (f"providers.{name}.keys[0].{name}_key_config" for name in ("azure", "vertex", "bedrock"))
FIELDS = (
    Field("providers.openai.keys[0].value", of_key("openai", "value")),
    Field("providers.openai.network_config.base_url", network("base_url"), value=f"{URL}/v1"),
    Field(
        "providers.openai.network_config.extra_headers.x-team", lambda s: s.providers["openai"].network.extra_headers
    ),
    Field("providers.openai.network_config.ca_cert_pem", network("ca_cert_pem"), value="PEM"),
    Field(
        "providers.openai.proxy_config.url",
        lambda s: "http://" + (s.providers["openai"].network.proxy.url or "").rpartition("@")[2],
        value="http://p.example",
    ),
    Field("providers.openai.proxy_config.username", lambda s: s.providers["openai"].network.proxy.url),
    Field("providers.openai.proxy_config.password", lambda s: s.providers["openai"].network.proxy.url),
    Field(
        "providers.openai.proxy_config.ca_cert_pem",
        lambda s: s.providers["openai"].network.proxy.ca_cert_pem,
        value="PEM",
    ),
    Field("providers.azure.keys[0].value", of_key("azure", "value")),
    Field(f"{AZURE}.endpoint", of_key("azure", "azure", "endpoint"), value=URL),
    Field(f"{AZURE}.client_id", of_key("azure", "azure", "client_id")),
    Field(f"{AZURE}.client_secret", of_key("azure", "azure", "client_secret")),
    Field(f"{AZURE}.tenant_id", of_key("azure", "azure", "tenant_id")),
    Field(f"{VERTEX}.project_id", of_key("vertex", "vertex", "project_id")),
    Field(f"{VERTEX}.region", of_key("vertex", "vertex", "region")),
    Field(f"{VERTEX}.auth_credentials", of_key("vertex", "vertex", "auth_credentials"), value=ACCOUNT),
    Field("providers.bedrock.keys[0].value", of_key("bedrock", "value")),
    Field(f"{BEDROCK}.region", of_key("bedrock", "bedrock", "region")),
    Field(f"{BEDROCK}.access_key", of_key("bedrock", "bedrock", "access_key")),
    Field(f"{BEDROCK}.secret_key", of_key("bedrock", "bedrock", "secret_key")),
    Field(f"{BEDROCK}.session_token", of_key("bedrock", "bedrock", "session_token")),
    Field(f"{BEDROCK}.batch_s3_config.role_arn", of_key("bedrock", "bedrock", "batch", "role_arn")),
    Field("providers.ollama.keys[0].ollama_key_config.url", of_key("ollama", "base_url"), value=URL),
    Field("redis.url", lambda s: s.redis.url, api=True, value=f"redis://:{SENTINEL}@redis.example:6379/0"),
    Field("object_store.endpoint", lambda s: s.object_store.endpoint, api=True),
    Field("object_store.access_key", lambda s: s.object_store.access_key, api=True),
    Field("object_store.secret_key", lambda s: s.object_store.secret_key, api=True),
    Field(
        "encryption.keys[0]",
        lambda s: [base64.b64encode(each).decode() for each in s.encryption.master_keys],
        api=True,
        value=base64.b64encode(MASTER_KEY).decode(),
    ),
    Field("admin.token", lambda s: s.governance.admin.token, api=True, worker=False),
    Field(
        "admin.password_hash",
        lambda s: s.governance.admin.password_hash,
        api=True,
        value=f"$argon2id$v=19${SENTINEL}",
        worker=False,
    ),
    Field("governance.virtual_keys[0].value", lambda s: s.virtual_keys[0].value, api=True),
    Field(
        "client.required_headers.x-gateway",
        lambda s: [each.value for each in s.governance.required_headers],
        api=True,
        worker=False,
    ),
    Field("webhooks[0].url", lambda s: s.webhooks[0].url, api=True, value=f"https://hooks.example/{SENTINEL}"),
    Field("webhooks[0].secret", lambda s: s.webhooks[0].secret, value=WHSEC),
    Field("webhooks[0].previous_secret", lambda s: s.webhooks[0].previous_secret, value=WHSEC_BEFORE),
    Field("webhooks[0].headers.x-token", lambda s: s.webhooks[0].headers),
)
OF_WORKERS = [field for field in FIELDS if not field.api]
OF_THE_API = [field for field in FIELDS if field.api]


def put(document: Any, path: str, value: Any) -> None:
    """Set the field at the path, lists and objects made on the way."""
    head, _, rest = path.partition(".")
    name, _, index = head.partition("[")
    if index:
        entries = document.setdefault(name, [])
        if not rest:
            entries.append(value)
            return
        entries += [{}] if not entries else []
        put(entries[0], rest, value)
    elif rest:
        put(document.setdefault(name, {}), rest, value)
    else:
        document[name] = value


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    return self_signed(tmp_path_factory.mktemp("pem"))[1].read_text()


@pytest.fixture
def environ(pem: str) -> dict[str, str]:
    return {field.variable: pem if field.value == "PEM" else field.given for field in FIELDS}


@pytest.fixture
def document() -> dict[str, Any]:
    """Every field is a reference, and what must stand beside them is set."""
    made: dict[str, Any] = {}
    for field in FIELDS:
        put(made, field.path, f"env.{field.variable}")
    made["providers"]["openai"]["proxy_config"]["type"] = "http"
    batches = made["providers"]["bedrock"]["keys"][0]["bedrock_key_config"]["batch_s3_config"]
    batches["buckets"] = [{"bucket_name": "batches"}]
    made["governance"]["virtual_keys"][0]["name"] = "team"
    made["webhooks"][0]["name"] = "hook"
    return made


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    def loaded(document: dict[str, Any], environ: dict[str, str], **wanted: bool) -> Settings:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(document))
        return load(str(path), environ, **wanted).settings

    return loaded


def holds(found: Any, value: str) -> bool:
    """Whether what was read is the value, or has it inside."""
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else [found or ""]
    return any(value.strip() in each for each in inner)


@pytest.mark.parametrize("field", FIELDS, ids=[field.path for field in FIELDS])
def test_a_reference_is_resolved_for_who_looks_at_all_of_the_settings(field, document, environ, read):
    assert holds(field.read(read(document, environ, secrets=True)), environ[field.variable])


@pytest.mark.parametrize("field", FIELDS, ids=[field.path for field in FIELDS])
def test_a_worker_has_all_but_what_lets_people_and_programs_in(field, document, environ, read):
    seen = worker_environment(document, environ)
    settings = read(document, seen, secrets=True, administration=False)
    assert holds(field.read(settings), environ[field.variable]) == field.worker


def test_a_worker_is_not_given_the_variables_of_the_administration(document, environ):
    given = {**environ, "PATH": "/bin", "HERMOD_ADMIN_TOKEN": SENTINEL, "HERMOD_ADMIN_PASSWORD": SENTINEL}
    kept = worker_environment(document, given)
    assert set(kept) == {"PATH", *(field.variable for field in FIELDS if field.worker)}


def test_a_variable_that_serves_two_ends_is_left_to_the_worker(document, environ):
    shared = document["admin"]["token"] = document["redis"]["url"]
    assert shared.removeprefix("env.") in worker_environment(document, environ)


@pytest.mark.parametrize("field", OF_THE_API, ids=[field.path for field in OF_THE_API])
def test_what_the_api_needs_is_resolved_for_it_too(field, document, environ, read):
    alone = {each.variable: environ[each.variable] for each in OF_THE_API}
    assert holds(field.read(read(document, alone, secrets=False)), environ[field.variable])


@pytest.mark.parametrize("field", OF_WORKERS, ids=[field.path for field in OF_WORKERS])
def test_what_only_workers_need_does_not_reach_the_api_even_where_the_variable_is_set(field, document, environ, read):
    assert not holds(field.read(read(document, environ, secrets=False)), environ[field.variable])


@pytest.mark.parametrize("field", FIELDS, ids=[field.path for field in FIELDS])
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_variable_that_is_missing_stops_the_start_with_the_fields_path_and_no_value(
    field, value, document, environ, read
):
    environ.pop(field.variable)
    if value is not None:
        environ[field.variable] = value
    for secrets in (True, False) if field.api else (True,):
        with pytest.raises(SettingsError) as caught:
            read(document, environ, secrets=secrets)
        assert str(caught.value) == f"{field.path}: environment variable {field.variable} is not set"


def test_of_everything_together_the_children_of_one_machine_get_each_its_own(document, environ, read):
    api = api_environment(document, {**environ, "PATH": "/bin"})
    assert set(api) == {"PATH", *(field.variable for field in OF_THE_API)}
    shown = read(api_document(document), api, secrets=False)
    for field in FIELDS:
        assert holds(field.read(shown), environ[field.variable]) == field.api, field.path


def test_what_stands_in_the_file_itself_is_not_in_the_apis_file(document, environ, read):
    written = {field.variable: environ[field.variable] for field in OF_WORKERS}
    plain = json.loads(json.dumps(document), object_hook=lambda facts: _replaced(facts, written))
    assert read(plain, environ, secrets=True)
    text = json.dumps(api_document(plain))
    inner = {name: json.dumps(value)[1:-1] for name, value in written.items()}
    assert [name for name, value in inner.items() if value in text] == []


def _replaced(facts: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    return {
        name: values.get(value.removeprefix("env."), value) if isinstance(value, str) else value
        for name, value in facts.items()
    }


SECRET = "sk-a-secret-in-the-wrong-place"
MISPLACED = [
    ({"providers": {"openai": {"keys": SECRET}}}, "providers.openai.keys: expected an array"),
    ({"providers": {"openai": {"keys": [SECRET]}}}, "providers.openai.keys[0]: expected an object"),
    ({"providers": {"openai": {"keys": [{"value": [SECRET]}]}}}, "providers.openai.keys[0].value: expected a string"),
    ({"providers": {"openai": SECRET}}, "providers.openai: expected an object"),
    (
        {"providers": {"openai": {"keys": [{"value": "k"}], "network_config": {"extra_headers": SECRET}}}},
        "providers.openai.network_config.extra_headers: expected an object",
    ),
    ({"governance": {"virtual_keys": [SECRET]}}, "governance.virtual_keys[0]: expected an object"),
    ({"encryption": {"keys": SECRET}}, "encryption.keys: expected an array"),
    ({"encryption": {"keys": [[SECRET]]}}, "encryption.keys[0]: expected a string"),
    ({"encryption": {"keys": [SECRET]}}, "encryption.keys[0]: expected 32 bytes in base64"),
    ({"redis": {"url": SECRET}}, "redis.url: expected a URL"),
    ({"redis": SECRET}, "redis: expected an object"),
    ({"admin": {"token": "short-secret"}}, "admin.token: expected at least"),
    ({"admin": {"password_hash": SECRET}}, "admin.password_hash: expected an argon2id hash"),
    ({"webhooks": [{"name": "a", "url": "https://a.example", "secret": SECRET}]}, "webhooks[0].secret: expected"),
]


@pytest.mark.parametrize(("document", "said"), MISPLACED, ids=[said.partition(":")[0] for _, said in MISPLACED])
def test_a_secret_in_the_wrong_place_or_form_is_not_repeated(read, document, said):
    with pytest.raises(SettingsError) as caught:
        read(document, {}, secrets=True)
    assert str(caught.value).startswith(said)
    for secret in (SECRET, "short-secret"):
        assert secret not in str(caught.value)
