"""The section `webhooks` of config.json."""

import json

import pytest

from shared.config_file import load
from shared.masked import SettingsError
from shared.webhook_settings import new_secret, secret_key

SECRET = new_secret()
HOOK = {"name": "books", "url": "https://example.com/hook", "secret": "env.HOOK_SECRET"}


def loaded(tmp_path, *hooks, secrets=True, environ=None, **sections):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"webhooks": hooks, "providers": {}, **sections}))
    return load(str(path), {"HOOK_SECRET": SECRET} if environ is None else environ, secrets=secrets)


def test_an_entry_of_bifrosts_shape_is_read_without_a_warning(tmp_path):
    hook = {
        **HOOK,
        "events": ["async_job.failed", "batch.completed"],
        "previous_secret": SECRET,
        "headers": {"authorization": "env.HOOK_SECRET"},
        "include_response": True,
        "allow_private_network": False,
        "disabled": False,
    }
    config = {"webhook_config": {"delivery_history_retention_days": 7}}
    found = loaded(tmp_path, hook, client=config)
    [endpoint] = found.settings.webhooks
    assert (endpoint.secret, endpoint.headers) == (SECRET, {"authorization": SECRET})
    assert endpoint.events == ("async_job.failed", "batch.completed")
    assert found.settings.client.webhook_retention_days == 7
    assert found.warnings == ()


def test_a_secret_is_shown_nowhere(tmp_path):
    endpoint = loaded(tmp_path, {**HOOK, "headers": {"x": SECRET}}).settings.webhooks
    assert SECRET not in repr(endpoint) + str(endpoint)


def test_without_secrets_neither_they_nor_headers_are_read_and_their_variables_may_be_unset(tmp_path):
    [endpoint] = loaded(tmp_path, {**HOOK, "headers": {"x": "env.GONE"}}, secrets=False, environ={}).settings.webhooks
    assert (endpoint.name, endpoint.secret, endpoint.headers) == ("books", "", {})


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "deliveries"}, "name"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://example.com:444/"}, "url"),
        ({"url": None}, "url"),
        ({"secret": None}, "secret"),
        ({"secret": "whsec_YWJj"}, "secret"),
        ({"previous_secret": "plain"}, "previous_secret"),
        ({"events": ["job.completed"]}, "events"),
        ({"headers": {"content-type": "text/plain"}}, "headers"),
    ],
)
def test_what_cannot_work_stops_the_start_with_its_path(tmp_path, change, path):
    with pytest.raises(SettingsError) as error:
        loaded(tmp_path, {**HOOK, **change})
    assert error.value.path == f"webhooks[0].{path}"
    assert SECRET not in str(error.value)


def test_two_endpoints_of_one_name_stop_the_start(tmp_path):
    with pytest.raises(SettingsError, match=r"webhooks\[1\].name"):
        loaded(tmp_path, HOOK, HOOK)


def test_a_private_endpoint_may_speak_plain_http_at_any_port(tmp_path):
    hook = {**HOOK, "url": "http://10.0.0.1:8080/", "allow_private_network": True}
    assert loaded(tmp_path, hook).settings.webhooks[0].url == "http://10.0.0.1:8080/"


def test_a_new_secret_is_one_that_every_library_takes():
    assert len(secret_key(new_secret())) == 32
    with pytest.raises(ValueError, match="prefix"):
        secret_key("bm90IGEgc2VjcmV0")
