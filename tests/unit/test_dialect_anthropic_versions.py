"""Both generations of Anthropic's API: what the newer one refuses, by name, and that the older one refuses nothing."""

from __future__ import annotations

import json

import pytest

from shared.dialects.anthropic import versions
from shared.errors import InvalidRequest

OLD, NEW = "2023-06-01", "2026-10-21"
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}
CITED = {"type": "text", "text": "a", "citations": [{"type": "char_location", "cited_text": "a"}]}


def body(*content: object, role: str = "user", **fields: object) -> bytes:
    turns = [{"role": "user", "content": "Hi"}, {"role": role, "content": list(content) or "Hi"}]
    return json.dumps({"model": "m", "max_tokens": 9, "messages": turns, **fields}).encode()


def result(*content: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(content)}


def found(*content: object) -> dict[str, object]:
    return {"type": "search_result", "source": "s", "title": "t", "content": list(content)}


FORBIDDEN = [
    (body(temperature=1.0), "temperature"),
    (body(temperature=None), "temperature"),
    (body(top_p=1), "top_p"),
    (body(top_k=5), "top_k"),
    (body(DOCUMENT, role="assistant"), "messages.1.content.0"),
    (body(CITED), "messages.1.content.0.citations"),
    (body(DOCUMENT, found(CITED)), "messages.1.content.1.content.0.citations"),
    (body(result(CITED)), "messages.1.content.0.content.0.citations"),
    (body(result(found(CITED))), "messages.1.content.0.content.0.content.0.citations"),
]


@pytest.mark.parametrize(("given", "param"), FORBIDDEN)
def test_the_newer_version_refuses_by_the_name_of_the_field(given: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        versions.check(NEW, given)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: ")
    assert "not permitted" in caught.value.message


@pytest.mark.parametrize("version", [None, OLD])
@pytest.mark.parametrize("given", [given for given, _ in FORBIDDEN] + [b"not even JSON"])
def test_the_older_version_refuses_nothing(version: str | None, given: bytes) -> None:
    versions.check(version, given)


@pytest.mark.parametrize(
    "given",
    [
        body(),
        body(DOCUMENT, {**DOCUMENT, "citations": {"enabled": True}}),
        body({**CITED, "citations": []}, {**CITED, "citations": None}),
        body(CITED, role="assistant"),
        body(result(DOCUMENT), role="user"),
        body(
            {"type": "tool_use", "id": "t", "name": "f", "input": {"temperature": 1, "type": "document"}},
            role="assistant",
        ),
        body({"type": "text", "text": '"temperature": 1, "citations": [1], "type": "document"'}, role="assistant"),
        body(tools=[{"name": "f", "input_schema": {"properties": {"top_p": {"type": "number"}}}}]),
        body({"type": "block_of_tomorrow", "content": {"type": "document"}}),
        body({**found(), "citations": {"enabled": True}}, CITED | {"citations": None}),
    ],
)
def test_the_newer_version_takes_everything_else(given: bytes) -> None:
    versions.check(NEW, given)


def test_fields_are_found_however_the_body_is_laid_out() -> None:
    loose = json.dumps({"messages": [{"role": "assistant", "content": [DOCUMENT]}]}, indent=2).replace(":", " :\n")
    with pytest.raises(InvalidRequest, match=r"^messages\.0\.content\.0: "):
        versions.check(NEW, loose.encode())


@pytest.mark.parametrize("version", ["2024-10-22", "", "latest", "x" * 999])
def test_an_unknown_version_is_refused_by_the_name_of_the_header(version: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^anthropic-version: .*2023-06-01 or 2026-10-21") as caught:
        versions.check(version, body())
    assert caught.value.param == "anthropic-version"
    assert len(caught.value.message) < 200
