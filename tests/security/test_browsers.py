"""Pages of other sites: which may call the gateway, and what their browsers are told."""

from __future__ import annotations

import pytest

from tests.security.place import OWNER, TOKEN, Place

ALLOWED = [
    "http://localhost:3000",
    "https://localhost",
    "http://127.0.0.1:1",
    "http://[::1]:5",
    "https://console.example",
    "https://a.b.team.example",
]
REFUSED = [
    "https://evil.example",
    "null",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://console.example",
    "https://console.example:8443",
    "https://console.example.evil.example",
    "https://team.example",
    "https://evil.example/.team.example",
    "http://localhost:3000@evil.example",
]
CLOSED = ("/admin", "/api", "/console", "/metrics")
WANTED = "authorization, x-api-key, x-bf-vk, anthropic-version, content-type, x-stainless-timeout"


def asked_before(place: Place, origin: str, path: str) -> tuple[int, dict[str, str]]:
    headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": WANTED}
    answer = place.api.options(path, headers=headers)
    assert not answer.content
    return answer.status_code, {name: text for name, text in answer.headers.items() if name.startswith("access-")}


@pytest.mark.parametrize("origin", ALLOWED)
def test_a_page_that_is_allowed_may_call_with_a_key(place: Place, origin: str):
    status, told = asked_before(place, origin, "/anthropic/v1/messages")
    assert (status, told["access-control-allow-origin"]) == (200, origin)
    assert told["access-control-allow-credentials"] == "true"
    assert told["access-control-max-age"] == "86400"
    assert told["access-control-allow-methods"] == "GET, POST, PUT, DELETE, PATCH, OPTIONS, HEAD"
    assert told["access-control-allow-headers"] == WANTED
    answer = place.ask("GET", "/v1/jobs", OWNER, headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    assert "x-bf-job-id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"


def test_the_page_may_read_every_header_that_an_answer_may_carry(place: Place):
    answer = place.ask("GET", "/v1/jobs", OWNER, headers={"origin": ALLOWED[0]})
    shown = answer.headers["access-control-expose-headers"].split(", ")
    described = {
        name
        for path, methods in place.api.get("/openapi.json").json()["paths"].items()
        if not path.startswith(CLOSED)
        for operation in methods.values()
        for response in operation["responses"].values()
        for name in response.get("headers", {})
    }
    assert described <= set(shown)
    assert {"retry-after", "retry-after-ms", "x-should-retry"} <= set(shown)
    assert len(set(shown)) == len(shown)


@pytest.mark.parametrize("origin", REFUSED)
def test_a_page_that_is_not_is_told_nothing(place: Place, origin: str):
    assert asked_before(place, origin, "/anthropic/v1/messages") == (403, {})
    answer = place.ask("GET", "/v1/jobs", OWNER, headers={"origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-")]


@pytest.mark.parametrize("origin", [*ALLOWED, *REFUSED])
@pytest.mark.parametrize("path", ["/admin/virtual-keys", "/api/webhooks", "/console", "/console/login", "/metrics"])
def test_no_page_of_another_site_reads_the_administration(place: Place, origin: str, path: str):
    assert asked_before(place, origin, path) == (403, {})
    answer = place.ask("GET", path, TOKEN, headers={"origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-")]


def test_a_refusal_can_be_read_by_the_page_that_is_allowed(place: Place):
    answer = place.api.post("/v1/chat/completions", headers={"origin": ALLOWED[0]})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, ALLOWED[0])
