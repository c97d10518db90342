"""What is posted to each route: a body, and the header that says what it is.

Ids of what the gateway made before are not known when a body is drawn: `KNOWN` names stand for them.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import anthropic.types.messages
import openai.types
from hypothesis import strategies as st

from tests.unit.fuzz.bodies import SURFACES, bodies
from tests.unit.fuzz.mutations import Body, hurt, mutated, written
from tests.unit.fuzz.typed import ANYTHING, values

KNOWN = ("known-job", "known-file", "known-batch", "known-upload", "known-part")
"""Each stands for the latest thing of its kind."""

IDS = [
    *KNOWN,
    "resp_known-job",
    "6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11",
    "resp_6f0d",
    "..",
    "é漢",
    "%",
    "\x00",
    "0" * 3_000,
]

OF_DIALECTS = {
    "/v1/messages": ("anthropic", "chat"),
    "/count_tokens": ("anthropic", "count_tokens"),
    "/chat/completions": ("openai_chat", "chat"),
    "/embeddings": ("openai_chat", "embeddings"),
    "/responses": ("openai_responses", "chat"),
    "/responses/input_tokens": ("openai_responses", "count_tokens"),
}
"""The requests that become jobs, by the end of the path."""


class Post(NamedTuple):
    """A body with its content type."""

    content_type: str
    body: bytes


_JSON_TYPES = st.sampled_from(
    ["application/json"] * 6 + ["text/plain", "", "multipart/form-data", "application/json; charset=x"]
)


def posts(path: str) -> st.SearchStrategy[Post]:
    """What a route is for, often with something wrong; any JSON where that is not known."""
    surface = surface_of(path)
    if surface in SURFACES:
        return _of_json(bodies(*surface))
    made = next((made for end, made in _OTHERS.items() if path.endswith(end)), None)
    return made if made is not None else _of_json(ANYTHING.flatmap(written))


def surface_of(path: str) -> tuple[str, str] | None:
    """The dialect and the operation of a route that makes jobs."""
    return next((OF_DIALECTS[end] for end in sorted(OF_DIALECTS, key=len, reverse=True) if path.endswith(end)), None)


def _of_json(made: st.SearchStrategy[Any]) -> st.SearchStrategy[Post]:
    return st.builds(Post, _JSON_TYPES, made)


def _typed(hint: Any) -> st.SearchStrategy[Post]:
    return _of_json(values(hint).flatmap(written))


# --- items of batches -------------------------------------------------------------------------------

_CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
_ITEM = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": _CHAT}
_MESSAGE = {"custom_id": "a", "params": {"max_tokens": 5, **_CHAT}}


@st.composite
def _items(draw: st.DrawFn, item: dict[str, Any]) -> list[Any]:
    """Up to three items, half of them with something wrong in their request, fewer in themselves."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        name = "body" if "body" in item else "params"
        asked = draw(st.one_of(st.just(item[name]), mutated(item[name])))
        made = {**item, name: asked, "custom_id": draw(st.sampled_from([f"n{number}"] * 8 + ["n0", "", "é", "x" * 70]))}
        found.append(made if draw(st.integers(0, 5)) else draw(mutated(made)))
    return found


def _inline(item: dict[str, Any], more: dict[str, Any]) -> st.SearchStrategy[Post]:
    return _of_json(_items(item).map(lambda items: {**more, "requests": items}).flatmap(written))


_OF_A_FILE = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
_LINES = _items(_ITEM).map(lambda items: b"\n".join(json.dumps(one, default=str).encode() for one in items))


# --- forms ------------------------------------------------------------------------------------------

_SELDOM = st.sampled_from([False] * 6 + [True])
_FIELDS = st.sampled_from(
    [
        ("expires_after[anchor]", "created_at"),
        ("expires_after[seconds]", "3600"),
        ("expires_after[seconds]", "\u00b2"),
        ("expires_in_seconds", "7200"),
        ("expires_in_seconds", "9" * 5_000),
        ("purpose", "no_such"),
        ("unknown", "x" * 70_000),
        ("", ""),
    ]
)
_FILENAMES = st.sampled_from(
    ["a.jsonl", "", "..", "a/b.txt", "é漢.pdf", 'q"uote', "x" * 600, "\x00", "a\r\nx-injected: 1"]
)
_PART_TYPES = st.sampled_from(["application/jsonl", "", "text/html", "no type", "x/" + "y" * 300, "a\tb"])


@st.composite
def _forms(draw: st.DrawFn, name: str) -> Post:
    """A form with a part for the bytes, usually well formed."""
    fields = [("purpose", draw(st.sampled_from(["batch", "user_data"])))]
    fields += draw(st.lists(_FIELDS, max_size=2)) if draw(_SELDOM) else []
    data = draw(st.one_of(_LINES, _LINES.flatmap(hurt), st.just(b"{}"), st.binary(max_size=20)))
    filename = draw(_FILENAMES) if draw(_SELDOM) else "a.jsonl"
    part_type = draw(_PART_TYPES) if draw(_SELDOM) else "application/jsonl"
    head = f'name="{"other" if draw(_SELDOM) else name}"; filename="{filename}"\r\ncontent-type: {part_type}\r\n\r\n'
    parts = [f'name="{key}"\r\n\r\n{value}'.encode() for key, value in fields]
    parts.insert(draw(st.integers(0, len(parts))), head.encode() + data)
    form = b"".join(b"--b\r\ncontent-disposition: form-data; " + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return Post(draw(_FORM_TYPES), Body(draw(hurt(form)) if draw(_SELDOM) else form))


_FORM = "multipart/form-data; boundary=b"
_FORM_TYPES = st.sampled_from(
    [_FORM] * 12 + ["multipart/form-data", _FORM + "x" * 100, "multipart/form-data; boundary=", "application/json"]
)
_OTHERS = {
    "/messages/batches": st.one_of(_inline(_MESSAGE, {}), _typed(anthropic.types.messages.BatchCreateParams)),
    "/batches": st.one_of(
        _of_json(st.just({**_OF_A_FILE, "input_file_id": "known-file"}).flatmap(written)),
        _inline(_ITEM, _OF_A_FILE),
        _typed(openai.types.BatchCreateParams),
    ),
    "/files": _forms("file"),
    "/uploads": _typed(openai.types.UploadCreateParams),
    "/parts": _forms("data"),
    "/complete": _of_json(st.just({"part_ids": ["known-part"]}).flatmap(written)),
}
"""Strategies by the end of the path; the first that fits."""
