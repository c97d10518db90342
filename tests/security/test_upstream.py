"""What of a client's request reaches the provider, by the provider's own books."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from tests.security.place import GPT, OWNER, PROVIDER_KEY, Place, chat, message

OURS = {
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
    "authorization",
    "x-api-key",
}
"""What the gateway itself says to a provider; the key among it is the operator's."""
VERSIONS = {"anthropic-version", "anthropic-beta"}
HOSTILE = {
    "cookie": "session=1",
    "x-forwarded-for": "1.2.3.4",
    "x-real-ip": "1.2.3.4",
    "forwarded": "for=1.2.3.4",
    "via": "1.1 evil",
    "te": "trailers",
    "trailer": "x-a",
    "keep-alive": "timeout=1",
    "proxy-authorization": "Basic x",
    "proxy-connection": "keep-alive",
    "connection": "keep-alive, x-hop",
    "x-hop": "1",
    "x-api-key": "sk-ant-the-clients-own",
    "api-key": "the-clients-own",
    "x-goog-api-key": "the-clients-own",
    "openai-organization": "org-of-the-client",
    "openai-project": "proj-of-the-client",
    "x-stainless-lang": "python",
    "x-bf-session-id": "s",
    "x-bf-parent-request-id": "p",
    "x-maas-username": "root",
    "user-agent": "the-clients-own/1.0",
    "origin": "http://localhost:1",
    "referer": "http://localhost:1/secret",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
FORCED = ("cookie", "host", "authorization", "x-api-key", "api-key", "x-goog-api-key", "content-length", "connection")
FORCED += ("transfer-encoding", "te", "upgrade", "trailer", "proxy-authorization", "x-bf-vk", "x-bf-async", "expect")
FORCED += ("keep-alive", "set-cookie", "content-encoding", "accept-encoding", "proxy-connection")


def sent_upstream(place: Place, path: str, body: dict, headers: dict[str, str]) -> tuple[set[str], str]:
    """Names of the headers of the provider's call, and the hash of the key that came with it."""
    user = uuid.uuid4().hex
    body |= {"metadata": {"user_id": user}} if path.startswith("/anthropic") else {"user": user}
    answer = place.api.post(path, json=body, headers={**headers, "x-bf-vk": OWNER})
    assert answer.status_code == 200, answer.text
    (call,) = place.simulator.get("/__ledger", params={"user": user}).json()["entries"]
    return set(call["headers"]["names"]), call["key_hash"]


@pytest.mark.parametrize("path", ["/anthropic/v1/messages", "/v1/chat/completions"])
def test_no_header_of_the_client_travels_but_those_that_are_meant_to(place: Place, path: str):
    body = message() if path.startswith("/anthropic") else chat()
    names, key = sent_upstream(
        place, path, body, HOSTILE | {"x-bf-eh-x-mine": "1", "anthropic-beta": "files-api-2025-04-14"}
    )
    assert "x-mine" in names
    assert names - {"x-mine"} <= OURS | VERSIONS | {"traceparent"}  # ours, of the worker's own span
    assert key == hashlib.sha256(PROVIDER_KEY.encode()).hexdigest()[:12], "the operator's key, not the client's"


@pytest.mark.parametrize("name", FORCED)
def test_a_header_that_never_travels_cannot_be_forced_to(place: Place, name: str):
    names, key = sent_upstream(place, "/v1/chat/completions", chat(), {f"x-bf-eh-{name}": "evil.example"})
    plain, usual = sent_upstream(place, "/v1/chat/completions", chat(), {})
    assert (names, key) == (plain, usual)


@pytest.mark.parametrize(
    "field",
    [
        "api_base",
        "base_url",
        "api_key",
        "extra_headers",
        "custom_llm_provider",
        "aws_secret_access_key",
        "vertex_project",
    ],
)
def test_a_body_cannot_say_where_or_as_whom_to_call(place: Place, field: str):
    names, key = sent_upstream(place, "/v1/chat/completions", chat() | {field: "http://169.254.169.254/"}, {})
    assert names <= OURS
    assert key == hashlib.sha256(PROVIDER_KEY.encode()).hexdigest()[:12]


@pytest.mark.parametrize("forced", ["", "x-bf-eh-"])
@pytest.mark.parametrize("name", ["x-base-url", "x-api-base", "base-url", "x-target-url", "x-forwarded-host"])
def test_a_header_cannot_say_where_to_call(place: Place, name: str, forced: str):
    _, key = sent_upstream(place, "/v1/chat/completions", chat(), {f"{forced}{name}": "http://127.0.0.1:1"})
    assert key == hashlib.sha256(PROVIDER_KEY.encode()).hexdigest()[:12]


PORT, PLACE, SPELLING = "its port is neither 80", "its host is not on the public", "its host is neither a name nor"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:{port}/{secret}", PORT),
        ("http://localhost:{port}/{secret}", PORT),
        ("http://127.0.0.1/", PLACE),
        ("http://localhost/", PLACE),
        ("http://[::1]/", PLACE),
        ("http://[::ffff:127.0.0.1]/", PLACE),
        ("http://169.254.169.254/latest/meta-data", PLACE),
        ("http://0x7f000001/", SPELLING),
        ("http://2130706433/", SPELLING),
        ("file:///etc/passwd", "cannot be given by URL"),
    ],
)
def test_the_url_of_a_document_leads_a_worker_to_nothing_private(place: Place, url: str, why: str):
    secret = uuid.uuid4().hex
    source = {"type": "url", "url": url.format(port=place.simulator.base_url.port, secret=secret)}
    asked = [{"role": "user", "content": [{"type": "document", "source": source}]}]
    # OpenAI's wire has no place for the URL: the worker has to fetch it.
    answer = place.ask("POST", "/anthropic/v1/messages", OWNER, json=message(GPT) | {"messages": asked})
    assert answer.status_code == 400, answer.text
    assert why in answer.json()["error"]["message"]
    assert secret not in place.simulator.get("/__ledger", params={"limit": 100_000}).text
