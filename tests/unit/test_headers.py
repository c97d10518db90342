import pytest

from api.auth import ANONYMOUS, Door
from api.headers import forwarded, refuse_async, wishes
from shared.errors import InvalidRequest, NotAuthenticated, NotPermitted
from shared.governance_settings import VirtualKey
from shared.queue import Share
from shared.settings import ClientSettings, HeaderFilter, Settings

CLIENT = ClientSettings(async_job_result_ttl=3600, async_job_result_ttl_max=7200)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False)]
)
def test_x_bf_async_submits_only_when_true(value, expected):
    assert wishes({} if value is None else {"x-bf-async": value}, CLIENT).submit is expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-bf-async", "yes please"),
        *(("x-bf-async-job-result-ttl", value) for value in ("", "0", "-1", "abc", "1.5", "7201", "9" * 5000, "٣")),
        ("x-bf-async-wait", "soon"),
        ("prefer", "wait=x"),
        ("x-bf-disable-content-logging", "perhaps"),
    ],
)
def test_a_bad_header_is_refused_by_name(name, value):
    with pytest.raises(InvalidRequest) as caught:
        wishes({name: value}, CLIENT)
    assert caught.value.param.lower() == name
    assert caught.value.param in caught.value.message


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({"prefer": "wait=10"}, 10),
        ({"prefer": 'respond-async, wait="20"'}, 20),
        ({"x-bf-async-wait": "5", "prefer": "wait=10"}, 5),
        ({"prefer": "wait=9999"}, 300),
    ],
)
def test_the_wait_is_read_and_capped(headers, expected):
    assert wishes(headers, CLIENT).wait_s == expected


@pytest.mark.parametrize(("value", "refused"), [("true", True), ("x", True), ("false", False), ("", False)])
def test_a_route_without_jobs_refuses_to_make_one(value, refused):
    if refused:
        with pytest.raises(InvalidRequest, match="x-bf-async"):
            refuse_async({"x-bf-async": value})
    else:
        refuse_async({"x-bf-async": value})


@pytest.mark.parametrize("value", ["true", "false", "1", "0", ""])
def test_what_is_not_to_be_logged_never_is_and_the_wish_stays_here(value):
    sent = {"x-bf-disable-content-logging": value}
    assert wishes(sent, CLIENT) == wishes({}, CLIENT)
    assert forwarded(sent, ClientSettings(header_filter_config=HeaderFilter(allowlist=("*",)))) == {}


def test_only_what_is_allowed_travels_to_the_provider():
    client = ClientSettings(header_filter_config=HeaderFilter(allowlist=("x-team*",), denylist=("x-team-secret",)))
    headers = {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a,b",
        "authorization": "Bearer sk-client",
        "x-api-key": "sk-client",
        "cookie": "c",
        "x-bf-vk": "sk-bf-1",
        "x-bf-eh-x-trace": "1",
        "x-bf-eh-authorization": "Bearer stolen",
        "x-bf-eh-x-bf-vk": "no",
        "x-bf-eh-host": "evil",
        "x-team-a": "1",
        "x-team-secret": "2",
        "x-other": "3",
    }
    assert forwarded(headers, client) == {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a,b",
        "x-trace": "1",
        "x-team-a": "1",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"x-bf-vk": "sk-bf-1"},
        {"authorization": "Bearer sk-bf-1"},
        {"x-api-key": "sk-bf-1"},
        {"x-goog-api-key": "sk-bf-1"},
        {"api-key": "sk-bf-1"},
        {"x-bf-vk": " sk-bf-1\t"},
        {"authorization": "bearer   sk-bf-1 "},
    ],
)
def test_a_virtual_key_is_one_owner_however_it_is_sent(headers):
    door = Door(Settings())
    owner = door.caller(headers).owner
    assert owner == door.caller({"x-bf-vk": "sk-bf-1"}).owner
    assert "sk-bf" not in owner


def test_dummy_keys_are_anonymous_unless_keys_are_enforced():
    dummy = {"x-api-key": "dummy-key", "authorization": "Bearer dummy"}
    assert Door(Settings()).caller(dummy).owner == ANONYMOUS
    with pytest.raises(NotAuthenticated) as caught:
        Door(Settings(client=ClientSettings(enforce_auth_on_inference=True))).caller(dummy)
    assert caught.value.code == "virtual_key_required"


KEYS = (
    VirtualKey(name="a", value="team-a", weight=3, max_jobs=10, max_running_jobs=2),
    VirtualKey(name="b", value="sk-bf-b", active=False),
)
CAPPED = ClientSettings(max_jobs_per_key=7, max_running_jobs_per_key=1)


def test_a_listed_key_has_its_own_share_and_everybody_else_the_usual_one():
    door = Door(Settings(client=CAPPED, virtual_keys=KEYS))
    assert door.caller({"x-bf-vk": "team-a"}).share == Share(weight=3, max_running=2, max_unfinished=10)
    assert door.caller({}).share == Share(weight=1, max_running=1, max_unfinished=7)
    assert Door(Settings(client=CAPPED)).caller({"x-bf-vk": "any"}).share == door.caller({}).share


@pytest.mark.parametrize(
    ("headers", "error", "code"),
    [
        ({"authorization": "Bearer sk-bf-b"}, NotPermitted, "access_blocked"),
        ({"x-bf-vk": "sk-bf-of-nobody"}, NotAuthenticated, "virtual_key_unknown"),
    ],
    ids=["not active", "unknown"],
)
def test_a_key_that_is_not_active_or_not_listed_is_refused(headers, error, code):
    with pytest.raises(error) as caught:
        Door(Settings(virtual_keys=KEYS)).caller(headers)
    assert caught.value.code == code
    assert "sk-bf-" not in caught.value.message


SITES = ClientSettings(allowed_origins=("https://app.example", "https://*.team.example"))
HERE = {"host": "gateway.example:8080"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:3000"},
        {"origin": "https://app.example"},
        {"origin": "https://a.b.team.example"},
        {"origin": "http://gateway.example:8080"},
        {"origin": "https://in.front.example", "sec-fetch-site": "same-origin"},
        {"origin": "app://desktop", "authorization": "Bearer unused"},
        {"origin": "app://desktop", "x-api-key": "unused"},
    ],
)
def test_without_a_key_programs_and_pages_that_may_call_are_let_in(headers):
    assert Door(Settings(client=SITES)).caller({**HERE, **headers}).owner == ANONYMOUS


@pytest.mark.parametrize("password", [{}, {"authorization": "Basic dXNlcjpwYXNz"}])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "https://app.example.evil.example",
        "https://team.example",
        "https://evil.example/.team.example",
        "https://evil.example:1.team.example",
        "http://gateway.example",
    ],
)
def test_without_a_key_no_page_of_another_site_makes_a_browser_call(origin, password):
    headers = {**HERE, **password, "origin": origin, "sec-fetch-site": "cross-site"}
    with pytest.raises(NotPermitted) as caught:
        Door(Settings(client=SITES)).caller(headers)
    assert caught.value.code == "cross_site"
    anywhere = ClientSettings(allowed_origins=("*",))
    assert Door(Settings(client=anywhere)).caller(headers).owner == ANONYMOUS
    assert Door(Settings(client=SITES)).caller({**headers, "x-bf-vk": "any"}).owner != ANONYMOUS
