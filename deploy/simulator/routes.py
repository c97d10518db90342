"""The table of paths: which wire a path speaks, what is asked there, and whether it needs a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import unquote

import msgspec

from deploy.simulator import (
    anthropic_answer,
    anthropic_batches,
    anthropic_request,
    embeddings,
    openai_answer,
    openai_batches,
    openai_request,
    responses_answer,
    responses_events,
    responses_request,
)
from deploy.simulator.answers import Answer
from deploy.simulator.wires import AnyQuestion, Question, Wire

Operation = Literal["answer", "models", "model", "batch", "none"]

_Read = Callable[[bytes, dict[str, str]], AnyQuestion]
_Plain = Callable[[AnyQuestion, Answer, str], bytes]
_Stream = Callable[[AnyQuestion, Answer, str], list[bytes]]


def _anthropic(
    read: _Read[Question], plain: _Plain[Question], stream: _Stream[Question] | None = None
) -> Wire[Question]:
    return Wire(
        check=anthropic_request.check,
        read=read,
        plain=plain,
        stream=stream,
        error=anthropic_answer.error,
        ordered=anthropic_answer.ordered,
        models=anthropic_answer.models,
        model=anthropic_answer.model,
        broken=anthropic_answer.broken,
        overloaded=529,
        request_id=b"request-id",
    )


def _openai(
    read: _Read[AnyQuestion],
    plain: _Plain[AnyQuestion],
    stream: _Stream[AnyQuestion] | None = None,
    broken: Callable[[list[bytes]], bytes] = openai_answer.broken,
) -> Wire[AnyQuestion]:
    return Wire(
        check=openai_request.check,
        read=read,
        plain=plain,
        stream=stream,
        error=openai_answer.error,
        ordered=openai_answer.ordered,
        models=openai_answer.models,
        model=openai_answer.model,
        broken=broken,
        overloaded=500,
        request_id=b"x-request-id",
    )


_MESSAGES = _anthropic(anthropic_request.read, anthropic_answer.plain, anthropic_answer.stream)
_COUNT = _anthropic(anthropic_request.read_count, anthropic_answer.count)
_CHAT = _openai(openai_request.read, openai_answer.plain, openai_answer.stream)
_RESPONSES = _openai(responses_request.read, responses_answer.plain, responses_events.stream, responses_events.broken)
_RESPONSES_COUNT = _openai(responses_request.read, responses_answer.count)
_EMBEDDINGS = _openai(embeddings.read, embeddings.plain)

_ANTHROPIC_PREFIXES = ("", "/anthropic")
_ANTHROPIC_PATHS: dict[str, Wire[Any]] = {"/v1/messages": _MESSAGES, "/v1/messages/count_tokens": _COUNT}
_OPENAI_PREFIXES = ("", "/v1", "/openai", "/openai/v1")
_OPENAI_PATHS: dict[str, Wire[Any]] = {
    "/chat/completions": _CHAT,
    "/responses": _RESPONSES,
    "/responses/input_tokens": _RESPONSES_COUNT,
    "/embeddings": _EMBEDDINGS,
}
_KEYLESS_PREFIXES = ("/ollama/v1", "/vllm/v1", "/azure/openai/v1", "/vertex/v1")
"""Stand-ins for providers that authenticate in other ways, or not at all."""


class Route(msgspec.Struct, frozen=True):
    """What a path means; `name` is the model of `GET …/models/{name}`."""

    wire: Wire[Any]
    operation: Operation
    key_required: bool = True
    name: str = ""


def _fixed() -> dict[tuple[str, str], Route]:
    routes: dict[tuple[str, str], Route] = {}
    for prefixes, key_required in ((_OPENAI_PREFIXES, True), (_KEYLESS_PREFIXES, False)):
        for prefix in prefixes:
            for path, wire in _OPENAI_PATHS.items():
                routes["POST", prefix + path] = Route(wire, "answer", key_required)
            routes["GET", f"{prefix}/models"] = Route(_CHAT, "models", key_required)
    for prefix in _ANTHROPIC_PREFIXES:
        for path, wire in _ANTHROPIC_PATHS.items():
            routes["POST", prefix + path] = Route(wire, "answer")
    routes["GET", "/anthropic/v1/models"] = Route(_MESSAGES, "models")
    return routes


_ROUTES = _fixed()


def find(method: str, path: str, headers: dict[str, str]) -> Route:
    """The route of a request; operation `none` when nothing is served there.

    `/v1/models` is both vendors' path: the header that only Anthropic's clients send decides.
    """
    speaks_anthropic = "anthropic-version" in headers
    if speaks_anthropic and method == "GET" and path.startswith("/v1/models"):
        path = f"/anthropic{path}"
    if route := _ROUTES.get((method, path)):
        return route
    above, found, name = path.partition("/models/")
    if found and name and (route := _ROUTES.get((method, f"{above}/models"))):
        return msgspec.structs.replace(route, operation="model", name=unquote(name))
    if anthropic_batches.PATH.fullmatch(path):
        return Route(_MESSAGES, "batch")
    if batch := openai_batches.PATH.fullmatch(path):
        return Route(_CHAT, "batch", key_required=batch["prefix"] not in _KEYLESS_PREFIXES)
    unknown = _MESSAGES if speaks_anthropic or path.startswith("/anthropic") else _CHAT
    return Route(unknown, "none", key_required=False)
