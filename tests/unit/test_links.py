"""Where bodies give images and documents by URL, and what is put there instead."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from shared.chat import Inline, PlainText
from worker.links import links

URL = "https://example.com/a.png"
PNG = Inline("image/png", "QQ==")
PDF = Inline("application/pdf", "QQ==")

Body = dict[str, Any]


def anthropic(*blocks: Body) -> Body:
    return {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": list(blocks)}]}


def by_url(kind: str, **more: Any) -> Body:
    return {"type": kind, "source": {"type": "url", "url": URL}, **more}


def chat(*parts: Body) -> Body:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def responses(*parts: Body, field: str = "content") -> Body:
    return {"input": [{"role": "user", field: list(parts)}]}


SOURCE = {"type": "base64", "media_type": "image/png", "data": "QQ=="}
DATA = "data:image/png;base64,QQ=="
PLACES: dict[str, tuple[str, Body, str, Body]] = {
    "an image": (
        "anthropic",
        anthropic({"type": "text", "text": "x"}, by_url("image", cache_control={"type": "ephemeral"})),
        "messages.1.content.1",
        anthropic(
            {"type": "text", "text": "x"}, {"type": "image", "source": SOURCE, "cache_control": {"type": "ephemeral"}}
        ),
    ),
    "in a tool result": (
        "anthropic",
        anthropic({"type": "tool_result", "tool_use_id": "t", "content": [by_url("image")]}),
        "messages.1.content.0.content.0",
        anthropic({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": SOURCE}]}),
    ),
    "a document": (
        "anthropic",
        anthropic(by_url("document", title="t")),
        "messages.1.content.0",
        anthropic({"type": "document", "source": SOURCE, "title": "t"}),
    ),
    "an image of chat": (
        "openai_chat",
        chat({"type": "image_url", "image_url": {"url": URL, "detail": "low"}}),
        "messages[0].content[0]",
        chat({"type": "image_url", "image_url": {"url": DATA, "detail": "low"}}),
    ),
    "its short form": (
        "openai_chat",
        chat({"type": "text", "text": "x"}, {"type": "image_url", "image_url": URL}),
        "messages[0].content[1]",
        chat({"type": "text", "text": "x"}, {"type": "image_url", "image_url": DATA}),
    ),
    "a file of chat": (
        "openai_chat",
        chat({"type": "file", "file": {"file_data": URL, "filename": "a"}}),
        "messages[0].content[0]",
        chat({"type": "file", "file": {"file_data": DATA, "filename": "a"}}),
    ),
    "an input_image": (
        "openai_responses",
        responses({"type": "input_image", "image_url": URL}),
        "input[0].content[0]",
        responses({"type": "input_image", "image_url": DATA}),
    ),
    "an input_file in an output": (
        "openai_responses",
        responses({"type": "input_file", "file_url": URL}, field="output"),
        "input[0].output[0]",
        responses({"type": "input_file", "file_data": DATA}, field="output"),
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_url_is_found_its_part_told_and_the_bytes_stand_in_its_place(name: str) -> None:
    dialect, body, path, expected = PLACES[name]
    fields, [link] = links(json.dumps(body).encode(), dialect)
    assert link.path == path
    link.put(PNG)
    assert json.loads(msgspec.json.encode(fields)) == expected


def test_a_text_becomes_a_text_source_and_a_data_url() -> None:
    fields, [link] = links(json.dumps(anthropic(by_url("document"))).encode(), "anthropic")
    link.put(PlainText("é"))
    source = json.loads(msgspec.json.encode(fields))["messages"][1]["content"][0]["source"]
    assert source == {"type": "text", "media_type": "text/plain", "data": "é"}
    fields, [link] = links(json.dumps(chat({"type": "file", "file": {"file_data": URL}})).encode(), "openai_chat")
    link.put(PlainText("é"))
    file = json.loads(msgspec.json.encode(fields))["messages"][0]["content"][0]["file"]
    assert file == {"file_data": "data:text/plain;base64,w6k="}


ELSEWHERE: dict[str, tuple[str, Body]] = {
    "a text": ("anthropic", anthropic({"type": "text", "text": URL})),
    "an inline image": ("anthropic", anthropic({"type": "image", "source": SOURCE}, {"type": "text", "text": URL})),
    "a source of another type": ("anthropic", anthropic({"type": "image", "source": {"type": "file", "url": URL}})),
    "a store at the provider": ("anthropic", anthropic(by_url("image") | {"source": {"type": "url", "url": "gs://http:"}})),
    "a data url": ("openai_chat", chat({"type": "image_url", "image_url": {"url": DATA}}, {"type": "x", "url": URL})),
    "a tool": ("openai_chat", chat() | {"tools": [{"type": "image_url", "image_url": URL}]}),
    "a call": ("anthropic", anthropic({"type": "tool_use", "id": "t", "name": "n", "input": {"source": URL}})),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_urls_elsewhere_are_the_models_to_read(name: str) -> None:
    dialect, body = ELSEWHERE[name]
    assert links(json.dumps(body).encode(), dialect)[1] == []


def test_what_has_no_url_stays_closed_and_is_written_as_it_came() -> None:
    body = b'{"messages": [{"role":"user","content" : "x",  "n": 1.50}, {"role":"user","content":[%b]}]}'
    image = b'{"type":"image","source":{"type":"url","url":"https:\\/\\/a.example\\/a"}}'
    fields, [link] = links(body % image, "anthropic")
    link.put(PDF)
    assert b'{"role":"user","content" : "x",  "n": 1.50}' in msgspec.json.encode(fields)
