"""Every route of the gateway, for everyone who may ask: nothing is let in that the table does not let in."""

from __future__ import annotations

import json
import re
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.exceptions import LitestarDeprecationWarning

from api.app import build_app
from shared.settings import ObjectStoreSettings, Settings
from tests.security.place import EXPIRED, GPT, OTHER, OWNER, PLAYED, SECRET, TOKEN, Place, body_of
from tests.security.routes import KINDS, OK, TABLE, Who

EVERYONE = list(Who)
"""In this order: the owner, who may change the thing, comes last."""


def the_app() -> Litestar:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LitestarDeprecationWarning)  # of path parameters; the process says it too
        return build_app(Settings(object_store=ObjectStoreSettings(path="unused")))


def served() -> set[tuple[str, str]]:
    """(method, path) of every route, preflights apart; what is no HTTP handler is served by any method."""
    return {
        (method, route.path_format if method == "ANY" else route.path)
        for route in the_app().routes
        for method in getattr(route, "methods", ("ANY",))
        if method != "OPTIONS"
    }


def key_of(place: Place, who: Who) -> str:
    return {
        Who.NOBODY: "",
        Who.UNKNOWN: "sk-bf-nobody-was-given-this",
        Who.OTHER: OTHER,
        Who.REVOKED: place.revoked,
        Who.EXPIRED: EXPIRED,
        Who.ADMIN: TOKEN,
        Who.OWNER: OWNER,
    }[who]


def made_for(place: Place, path: str) -> tuple[str, dict[str, Any]]:
    """The id of a new thing of the owner that the route may be asked for, and the body to ask with."""
    surface = "anthropic" if path.startswith("/anthropic") else "/v1"
    if "/cache/" in path:
        return place.cached()["{key" in path], {}
    if "/webhooks" in path and not path.startswith("/console"):
        name, delivery = place.webhook()
        facts = {"name": f"{name}x", "url": "https://hooks.example/y", "events": ["batch.completed"]}
        return delivery if "{delivery" in path else name if "{" in path else "", {
            "json": facts if path.endswith("/webhooks") else {"url": facts["url"]}
        }
    if path.startswith("/console"):
        return _of_console(place, path)
    if path.startswith("/admin/"):
        kind = path.split("/")[2]
        names = [f"{SECRET} {uuid.uuid4()}" for _ in range(2)]
        return place.admin(kind, name=names[0])["id"] if "{" in path else "", {"json": {"name": names[1]}}
    if "{" not in path:
        return "", _collection(place, path)
    if "/models/" in path:
        return place.ask("GET", path.partition("/{")[0], OWNER).json()["data"][0]["id"], {}
    if "/uploads/" in path:
        upload = place.upload()
        part = {"files": {"data": ("p", b"x")}} if path.endswith("/parts") else {"json": upload["body"]}
        return upload["id"], part
    make = {
        "/files/": lambda: place.file(surface),
        "/batches/": lambda: place.batch(surface),
        "/async/": lambda: place.async_job(path.partition("/{")[0]),
        "/responses/": place.response,
        "/jobs/": place.job,
    }
    return next(maker() for kind, maker in make.items() if kind in path), {}


def _of_console(place: Place, path: str) -> tuple[str, dict[str, Any]]:
    make: dict[str, Callable[[], str]] = {
        "/static/": lambda: "console.css",
        "/jobs/": place.job,
        "/batches/": lambda: place.batch("anthropic"),
        "/files/": place.file,
        "/keys/": lambda: place.admin("virtual-keys", name=f"{SECRET} {uuid.uuid4()}")["id"],
        "/playground/": place.operator_job,
        "/webhooks/": lambda: place.webhook()[0],
    }
    name = next(maker() for kind, maker in make.items() if kind in path) if "{" in path else ""
    if path.endswith("/redeliver"):
        name, delivery = place.webhook()
        return name, {"data": {"delivery": delivery}}
    if path.endswith("/playground"):
        return "", {"data": PLAYED}
    return name, {"data": {"name": f"{SECRET} {uuid.uuid4()}"} if path.endswith("/keys") else {}}


def _collection(place: Place, path: str) -> dict[str, Any]:
    if path.endswith("/files"):
        return {"files": {"file": ("a.txt", b"x")}, "data": {"purpose": "user_data"}}
    if path.endswith("/uploads"):
        return {"json": {"filename": "a", "purpose": "user_data", "bytes": 1, "mime_type": "text/plain"}}
    if path.endswith("/messages/batches"):
        return {"json": {"requests": [{"custom_id": "one", "params": body_of("/messages")}]}}
    if path.endswith("/batches"):
        line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": {"model": GPT}}
        files = {"file": ("a.jsonl", json.dumps(line).encode())}
        ids = {
            key: place.made("/v1/files", key, files=files, data={"purpose": "batch"})["id"] for key in (OWNER, OTHER)
        }
        facts = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return {"by_key": {key: {"json": {**facts, "input_file_id": file}} for key, file in ids.items()}}
    return {"json": body_of(path)}


def asked(place: Place, method: str, path: str, who: Who, more: dict[str, Any]) -> httpx.Response:
    key = key_of(place, who)
    body = more.get("by_key", {OWNER: more}).get(key) or more.get("by_key", {}).get(OWNER) or more
    sent = body if method in {"POST", "PATCH", "PUT"} else {}
    return place.ask(method, path, key, **sent)


def _is_let_in(answer: httpx.Response, path: str) -> bool:
    """Done, or could be but for the state of the thing, or sent on by the console, but not to its door unasked."""
    sent_on = answer.headers.get("location", "")
    at_the_door = "/login" in sent_on and not path.endswith("/logout")
    return answer.is_success or answer.status_code == 409 or (answer.is_redirect and not at_the_door)


def test_the_table_names_every_route_and_no_other():
    assert served() == set(TABLE)


@pytest.mark.parametrize(("method", "path"), sorted(TABLE), ids=lambda value: value)
def test_a_route_answers_everyone_as_the_table_says(place: Place, method: str, path: str):
    kind = TABLE[method, path]
    name, more = made_for(place, path)
    concrete = path.partition("{")[0] + name + path.partition("}")[2]
    found = {}
    for who in EVERYONE:
        answer = asked(place, method, concrete, who, more)
        found[who] = OK if _is_let_in(answer, path) else answer.status_code
        if who not in {Who.OWNER, Who.ADMIN} and (
            kind in {"thing", "native thing", "admin", "console"} or method == "GET"
        ):
            assert SECRET not in answer.text, who
    assert found == KINDS[kind]


@pytest.mark.parametrize("header", ["x-bf-vk", "authorization", "x-api-key", "x-goog-api-key", "api-key"])
@pytest.mark.parametrize(
    ("who", "status"), [(Who.UNKNOWN, 401), (Who.REVOKED, 403), (Who.EXPIRED, 403), (Who.OTHER, 404)]
)
def test_a_key_is_worth_the_same_in_every_header_it_may_come_in(place: Place, header: str, who: Who, status: int):
    value = ("Bearer " if header == "authorization" else "") + key_of(place, who)
    assert place.api.get(f"/v1/jobs/{place.job()}", headers={header: value}).status_code == status


def test_a_good_key_does_not_carry_a_bad_one(place: Place):
    bad = {"x-bf-vk": key_of(place, Who.UNKNOWN), "authorization": f"Bearer {OWNER}"}
    assert place.api.get("/v1/jobs", headers=bad).status_code == 401


def test_the_lists_of_one_tenant_show_nothing_of_another(place: Place):
    made = {place.file(), place.file("anthropic"), place.batch("anthropic"), place.batch("openai"), place.job()}
    lists = [path for (method, path), kind in TABLE.items() if (method, kind) == ("GET", "own")]
    shown = {key: "".join(place.ask("GET", path, key).text for path in lists) for key in (OWNER, OTHER)}
    assert all(name in shown[OWNER] for name in made), "the witness: who owns them is shown them"
    assert not [name for name in made if name in shown[OTHER]]


def test_what_is_asked_before_a_call_tells_the_methods_and_nothing_else(place: Place):
    for path in {re.sub(r"\{.*\}", "x", path) for _, path in TABLE}:
        answer = place.api.options(path)
        assert answer.status_code in {204, 303, 401}, path
        assert answer.status_code == 401 or not answer.content, path


@pytest.mark.parametrize("who", EVERYONE)
def test_a_key_is_no_password(place: Place, who: Who):
    key = key_of(place, who)
    answer = place.ask("POST", "/console/login", key, data={"password": key})
    assert "set-cookie" not in answer.headers
    assert place.api.get("/console").status_code == 303


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/schema",
        "/schema/openapi.json",
        "/docs",
        "/redoc",
        "/metrics",
        "/debug/pprof",
        "/admin",
        "/admin/config",
        "/api/config",
        "/config/update",
        "/.env",
        "/__ledger",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"])
def test_what_is_not_served_is_not_there(place: Place, method: str, path: str):
    assert place.api.request(method, path).status_code in {400, 401, 404}
