"""Claude on Vertex AI: Anthropic's bodies with the model in the path and the version in the body."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.chat import ChatRequest, Message, Text
from shared.errors import AuthFailed, Rejected, Unsupported
from worker.providers.anthropic import ANTHROPIC
from worker.providers.anthropic.vertex import ANTHROPIC_VERTEX
from worker.providers.catalog import ROWS

ROW = ROWS["vertex"]
RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "vertex"
MODEL = "claude-sonnet-5@20260801"
ASKED = {"model": "vertex/claude", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], "zzz": {"new": 1}}


@pytest.mark.parametrize(
    ("operation", "stream", "path"),
    [
        ("chat", False, f"/models/{MODEL}:rawPredict"),
        ("chat", True, f"/models/{MODEL}:streamRawPredict"),
        ("count_tokens", False, "/models/count-tokens:rawPredict"),
    ],
)
def test_the_model_is_in_the_path(operation: str, stream: bool, path: str) -> None:
    assert ANTHROPIC_VERTEX.path(operation, MODEL, stream=stream) == path


def test_a_model_cannot_lead_out_of_its_place() -> None:
    assert ANTHROPIC_VERTEX.path("chat", "claude/../../x?y#z") == "/models/claude%2F..%2F..%2Fx%3Fy%23z:rawPredict"


@pytest.mark.parametrize("operation", ["embeddings", "models"])
def test_what_claude_does_not_do_there_is_said(operation: str) -> None:
    with pytest.raises(Unsupported, match=operation):
        ANTHROPIC_VERTEX.path(operation, MODEL)


def test_a_clients_body_travels_untouched_but_for_model_and_version() -> None:
    asked = {**ASKED, "stream": True, "fallbacks": ["openai/gpt"], "provider": "vertex"}
    sent = json.loads(ANTHROPIC_VERTEX.edit(json.dumps(asked).encode(), ROW, MODEL))
    rest = {name: value for name, value in ASKED.items() if name != "model"}
    assert sent == {**rest, "stream": True, "anthropic_version": "vertex-2023-10-16"}


def test_a_count_names_its_model_in_the_body() -> None:
    sent = json.loads(ANTHROPIC_VERTEX.edit(json.dumps(ASKED).encode(), ROW, MODEL, "count_tokens"))
    assert (sent["model"], sent["anthropic_version"]) == (MODEL, "vertex-2023-10-16")


@pytest.mark.parametrize("operation", ["chat", "count_tokens"])
def test_a_translated_request_is_anthropics_with_the_same_changes(operation: str) -> None:
    request = ChatRequest(model=MODEL, messages=(Message(role="user", content=(Text("Hi"),)),), max_tokens=5, seed=1)
    rendered = ANTHROPIC_VERTEX.render(request, ROW, operation)
    plain = ANTHROPIC.render(request, ROW, operation)
    expected = {**json.loads(plain.body), "anthropic_version": "vertex-2023-10-16"}
    if operation == "chat":
        del expected["model"]
    assert json.loads(rendered.body) == expected
    assert rendered.dropped == plain.dropped == ("seed",)


def test_betas_stay_a_header_and_the_version_does_not() -> None:
    client = {"anthropic-version": "2026-10-21", "anthropic-beta": "context-1m-2025-08-07"}
    assert ANTHROPIC_VERTEX.headers(ROW, "", client) == {
        "anthropic-beta": "context-1m-2025-08-07",
        "content-type": "application/json",
    }
    assert ANTHROPIC_VERTEX.headers(ROW, "AIza", {})["x-goog-api-key"] == "AIza"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"code": 401, "message": "invalid credentials", "status": "UNAUTHENTICATED"}}, AuthFailed),
        (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "invalid thing"}}, Rejected),
    ],
)
def test_googles_refusals_are_told_as_well_as_anthropics(status: int, body: dict, kind: type) -> None:
    error = ANTHROPIC_VERTEX.error(ROW, status, {}, json.dumps(body).encode())
    assert isinstance(error, kind)
    assert body["error"]["message"] in error.message


def test_recorded_bodies_are_what_it_makes_of_them() -> None:
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings are not at hand")
    found = [json.loads(path.read_bytes()) for path in sorted(RECORDINGS.glob("vertex_raw_predict__*.json"))]
    for recording in found:
        body, at = recording["request_body"], recording["endpoint"]["url"]
        model = at.rpartition("/models/")[2].partition(":")[0]
        asked = {name: value for name, value in body.items() if name != "anthropic_version"}
        sent = ANTHROPIC_VERTEX.edit(json.dumps({**asked, "model": "vertex/claude"}).encode(), ROW, model)
        assert json.loads(sent) == body
        assert at.endswith(
            "/publishers/anthropic" + ANTHROPIC_VERTEX.path("chat", model, stream=bool(body.get("stream")))
        )
    assert len(found) == 6
