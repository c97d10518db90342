"""Who is let into the console and the administration, by the real API process: sessions, forgery, guessing, headers."""

import contextlib
import functools
import re
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator

import httpx
import pytest
import redis
from argon2 import PasswordHasher
from litestar import Litestar
from litestar.exceptions import LitestarDeprecationWarning

from api.admin_sessions import TRIES
from api.app import build_app
from shared.settings import ObjectStoreSettings, Settings
from tests.integration.test_jobs_surface import answers, environment, until, written
from tests.ports import free_port

PASSWORD = "correct horse battery staple"
TOKEN = "an-admin-token-of-tests"
OPEN_TO_ALL = {"/console/login", "/console/static/{name:str}"}
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@contextlib.contextmanager
def serving(folder, url, document, **environ) -> Iterator[str]:
    """The address of an API process."""
    port = free_port()
    config = written(folder / f"config-{port}.json", {"redis": {"url": url}, **document})
    arguments = ("api", "--config", config, "--data-dir", str(folder), "--port", str(port))
    process = subprocess.Popen([sys.executable, "-P", "-m", "deploy.cli", *arguments], env={**environment(), **environ})
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def closed(server, tmp_path_factory) -> Iterator[str]:
    """With a password and a token."""
    admin = {"password_hash": PasswordHasher(time_cost=1).hash(PASSWORD), "token": TOKEN}
    providers = {"openai": {"keys": [{"name": "one", "value": "sk-none"}]}}
    document = {"admin": admin, "providers": providers}
    with serving(tmp_path_factory.mktemp("closed"), server.url, document) as url:
        yield url


@pytest.fixture(scope="module")
def by_token(server, tmp_path_factory) -> Iterator[str]:
    """With a token alone, behind TLS."""
    document = {"admin": {"token": TOKEN}, "public_url": "https://gateway.example"}
    with serving(tmp_path_factory.mktemp("token"), server.url, document) as url:
        yield url


@pytest.fixture(scope="module")
def unset(server, tmp_path_factory) -> Iterator[str]:
    """With neither."""
    with serving(tmp_path_factory.mktemp("unset"), server.url, {}) as url:
        yield url


@pytest.fixture(autouse=True)
def nobody_has_guessed(server):
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


def sign_in(url, password=PASSWORD, **headers):
    return httpx.post(
        f"{url}/console/login", data={"password": password}, headers={"origin": url, **headers}, timeout=30
    )


@pytest.fixture
def signed_in(closed) -> Iterator[httpx.Client]:
    answer = sign_in(closed)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    with httpx.Client(base_url=closed, timeout=30, headers={"origin": closed}, cookies=answer.cookies) as client:
        yield client


def csrf_of(client):
    return CSRF.search(client.get("/console/").text)[1]


@functools.cache
def guarded_routes():
    """Every method and path of the console and the administration but what is open to all."""
    with warnings.catch_warnings(action="ignore", category=LitestarDeprecationWarning):
        app = build_app(Settings(object_store=ObjectStoreSettings(path="unused")))
    while not isinstance(app, Litestar):
        app = next(each for each in vars(app).values() if callable(each))
    return [
        (method, re.sub(r"\{[^}]*\}", "x", route.path))
        for route in app.routes
        if re.match("/(console|admin|api/webhooks)(/|$)", route.path) and route.path not in OPEN_TO_ALL
        for method in sorted(route.methods)
        if method != "OPTIONS"
    ]


def test_nothing_of_console_and_administration_is_open_but_the_way_in(closed):
    routes = guarded_routes()
    assert len(routes) > 30
    with httpx.Client(base_url=closed, cookies={"hermod_session": "guessed"}) as client:
        for method, path in routes:
            answer = client.request(method, path)
            expected = 303 if path.startswith("/console") else 401
            assert answer.status_code == expected, f"{method} {path}: {answer.status_code}"
            assert "/console/login" in answer.headers.get("location", answer.text)


def test_a_wrong_token_is_refused_everywhere_and_never_becomes_a_session(closed):
    with httpx.Client(base_url=closed, headers={"authorization": "Bearer wrong"}) as client:
        for method, path in guarded_routes():
            answer = client.request(method, path)
            assert answer.status_code == 401, f"{method} {path}"
            assert "set-cookie" not in answer.headers


def test_the_right_token_opens_pages_and_administration(closed):
    with httpx.Client(base_url=closed, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        assert client.get("/console/jobs").status_code == 200
        assert client.get("/admin/virtual-keys").status_code == 200


def test_only_the_password_is_right(closed):
    for wrong in ("", PASSWORD[:-1], PASSWORD + " ", TOKEN):
        answer = sign_in(closed, wrong)
        assert answer.status_code == 200
        assert "That is not the password." in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_that_is_not_there_is_said_as_a_page_and_no_less_careful(closed, method):
    there, missing = httpx.get(f"{closed}/console/login"), httpx.request(method, f"{closed}/console/no-such-page")
    assert missing.status_code == 404
    assert "There is no such page." in missing.text
    assert missing.headers["content-security-policy"] == there.headers["content-security-policy"]
    assert missing.headers["content-type"].startswith("text/html")


def test_where_there_is_no_password_the_token_is_asked_for(closed, by_token):
    assert "Token of the administrator" in httpx.get(f"{by_token}/console/login").text
    assert "That is not the token." in sign_in(by_token, PASSWORD, origin="https://gateway.example").text
    assert "Password of the administrator" in httpx.get(f"{closed}/console/login").text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(closed, by_token):
    answer = sign_in(closed)
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(answer.headers["set-cookie"].split("; "))
    assert "Secure" not in answer.headers["set-cookie"]
    answer = sign_in(by_token, TOKEN, origin="https://gateway.example")
    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_redis_holds_neither_session_ids_nor_the_password(closed, server):
    answer = sign_in(closed)
    session_id = re.search("hermod_session=([^;]+)", answer.headers["set-cookie"])[1]
    with redis.Redis.from_url(server.url) as store:
        everything = [key + (store.get(key) or b"") for key in store.keys("hermod:session:*")]
    assert len(everything) == 1
    assert not any(session_id.encode() in each or PASSWORD.encode() in each for each in everything)


def test_a_session_begins_anew_with_every_sign_in_and_ends_with_signing_out(closed):
    cookies = sign_in(closed).cookies
    first = cookies["hermod_session"]
    with httpx.Client(base_url=closed, headers={"origin": closed}, cookies=cookies) as client:
        second = client.post("/console/login", data={"password": PASSWORD}).cookies["hermod_session"]
        assert httpx.get(f"{closed}/console/", cookies={"hermod_session": first}).status_code == 303
    with httpx.Client(base_url=closed, headers={"origin": closed}, cookies={"hermod_session": second}) as client:
        client.post("/console/logout", data={"csrf": csrf_of(client)})
    for old in (first, second):
        assert httpx.get(f"{closed}/console/", cookies={"hermod_session": old}).status_code == 303


@pytest.mark.parametrize("other", ['prefs={"a":1}', "list[0]=1", "path=1", "b=one two", "nothing", 'c="'])
def test_a_session_is_found_among_the_cookies_of_whatever_else_runs_on_the_machine(closed, other):
    mine = sign_in(closed).headers["set-cookie"].partition(";")[0]
    for sent in (f"{other}; {mine}", f"{mine}; {other}"):
        assert httpx.get(f"{closed}/console/", headers={"cookie": sent}, timeout=30).status_code == 200


def test_a_session_planted_beforehand_is_not_taken_over(closed):
    answer = sign_in(closed, cookie="hermod_session=planted")
    assert "planted" not in answer.headers["set-cookie"]
    assert httpx.get(f"{closed}/console/", cookies={"hermod_session": "planted"}).status_code == 303


def test_one_api_process_knows_the_sessions_of_another_and_a_new_password_ends_them_all(server, tmp_path):
    document = {}
    with (
        serving(tmp_path, server.url, document, HERMOD_ADMIN_PASSWORD=PASSWORD) as first,
        serving(tmp_path, server.url, document, HERMOD_ADMIN_PASSWORD=PASSWORD) as second,
        serving(tmp_path, server.url, document, HERMOD_ADMIN_PASSWORD=PASSWORD + "!") as changed,
    ):
        answer = sign_in(first)
        assert answer.status_code == 303
        cookies = dict(answer.cookies)
        assert httpx.get(f"{second}/console/", cookies=cookies).status_code == 200
        assert httpx.get(f"{changed}/console/", cookies=cookies).status_code == 303


# --- forgery ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"csrf": None},
        {"csrf": "wrong"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": None},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=lambda change: "=".join(map(str, next(iter(change.items())))),
)
def test_a_change_that_another_site_sends_is_refused(signed_in, change):
    facts = {"csrf": csrf_of(signed_in), "origin": str(signed_in.base_url).rstrip("/"), **change}
    name = str(uuid.uuid4())
    fields = {"name": name, "csrf": facts.pop("csrf") or ""}
    del signed_in.headers["origin"]
    answer = signed_in.post("/console/keys", data=fields, headers={k: v for k, v in facts.items() if v})
    assert answer.status_code == 403, answer.text
    assert name not in signed_in.get("/console/keys").text


def test_every_change_needs_the_token_of_the_page(signed_in):
    changes = [(method, path) for method, path in guarded_routes() if method != "GET"]
    assert len(changes) > 15
    for method, path in changes:
        answer = signed_in.request(method, path)
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"


def test_with_the_token_of_the_page_a_change_is_made(signed_in):
    answer = signed_in.post("/console/keys", data={"name": str(uuid.uuid4()), "csrf": csrf_of(signed_in)})
    assert answer.status_code == 200
    assert "sk-bf-" in answer.text


def test_a_session_may_use_the_administration_with_the_token_in_a_header(signed_in):
    body = {"name": str(uuid.uuid4())}
    assert signed_in.post("/admin/virtual-keys", json=body).status_code == 403
    answer = signed_in.post("/admin/virtual-keys", json=body, headers={"x-csrf-token": csrf_of(signed_in)})
    assert answer.status_code == 201, answer.text


def test_another_origin_cannot_read_a_page_with_the_cookie(signed_in):
    answer = signed_in.get("/console/", headers={"origin": "http://localhost:3000"})
    assert answer.status_code == 403
    assert not CSRF.search(answer.text)


def test_signing_in_must_come_from_our_own_page(closed):
    answer = sign_in(closed, origin="https://evil.example")
    assert answer.status_code == 403


# --- guessing ---------------------------------------------------------------------------------------------


def test_after_some_wrong_passwords_even_the_right_one_has_to_wait(closed):
    for _ in range(TRIES):
        sign_in(closed, "wrong")
    answer = sign_in(closed)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 60
    assert httpx.get(f"{closed}/admin/virtual-keys", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_right_password_makes_earlier_errors_forgotten(closed):
    for _ in range(2):
        for _ in range(TRIES - 1):
            sign_in(closed, "wrong")
        assert sign_in(closed).status_code == 303


# --- pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/console/", "/console/login", "/console/jobs/unknown", "/console/jobs?state=odd", "/admin/virtual-keys"]
)
def test_every_answer_carries_the_headers_that_protect_a_browser(signed_in, path):
    for client_cookies in (dict(signed_in.cookies), {}):
        headers = httpx.get(f"{signed_in.base_url}".rstrip("/") + path, cookies=client_cookies).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("goal", ["https://evil.example", "//evil.example", "/console//evil.example", "/\\evil", "/v1"])
def test_signing_in_leads_nowhere_else(closed, goal):
    fields = {"password": PASSWORD, "next": goal}
    answer = httpx.post(f"{closed}/console/login", data=fields, headers={"origin": closed})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_what_a_page_loads_comes_from_here_and_may_be_kept(closed, signed_in):
    urls = re.findall(r'(?:src|href)="([^"]*static[^"]*)"', signed_in.get("/console/").text)
    assert len(urls) >= 3
    for url in urls:
        answer = httpx.get(closed + url)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert httpx.get(f"{closed}/console/static/..%2fdesk.py").status_code == 404


def test_what_cannot_be_found_or_read_is_a_page_that_says_so(signed_in):
    for path, status in {
        "/console/jobs/unknown": 404,
        "/console/batches/unknown": 404,
        "/console/webhooks/unknown": 404,
        "/console/jobs?state=odd": 400,
        "/console/jobs?after=x_y": 400,
        "/console/keys?from=-1": 400,
        "/console/playground?job=unknown": 404,
    }.items():
        answer = signed_in.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        assert f"<h1>{status}</h1>" in answer.text


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": "openai/x", "message": "", "max_tokens": "5"}, "message"),
        ({"model": "openai/x", "message": "hi", "max_tokens": "many"}, "max_tokens"),
        ({"model": "anthropic/x", "message": "hi", "max_tokens": "5"}, "model"),
    ],
)
def test_the_playground_says_what_is_wrong_with_a_message(signed_in, fields, word):
    answer = signed_in.post("/console/playground", data={**fields, "csrf": csrf_of(signed_in)})
    assert answer.status_code == 400
    assert f"{word}:" in answer.text


def test_a_job_of_somebody_elses_cannot_be_followed_in_the_playground(signed_in):
    body = {"model": "openai/gpt", "messages": [{"role": "user", "content": "private"}]}
    job_id = signed_in.post("/v1/async/chat/completions", json=body).json()["id"]
    assert signed_in.get(f"/console/jobs/{job_id}").status_code == 200
    assert signed_in.get(f"/console/playground/{job_id}/events").status_code == 404


# --- nothing configured -----------------------------------------------------------------------------------


def test_without_password_and_token_a_browser_on_this_machine_is_let_in(unset):
    with httpx.Client(base_url=unset, headers={"sec-fetch-site": "same-origin", "origin": unset}) as client:
        page = client.get("/console/")
        assert page.status_code == 200
        token = CSRF.search(page.text)[1]
        assert client.post("/console/keys", data={"name": "x"}).status_code == 403
        assert client.post("/console/keys", data={"name": str(uuid.uuid4()), "csrf": token}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"x-forwarded-for": "127.0.0.1"},
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
    ],
    ids=["rebinding", "proxy", "site", "another port"],
)
def test_without_password_and_token_nothing_from_elsewhere_is_let_in(unset, headers):
    for path in ("/console/", "/console/jobs", "/admin/virtual-keys"):
        assert httpx.get(unset + path, headers=headers).status_code == 403, path


def test_a_session_of_an_open_gateway_is_worth_nothing_once_it_is_closed(unset, closed):
    with httpx.Client(base_url=unset, headers={"sec-fetch-site": "same-origin"}) as client:
        client.get("/console/")
        cookies = dict(client.cookies)
    assert cookies
    assert httpx.get(f"{closed}/console/", cookies=cookies).status_code == 303
