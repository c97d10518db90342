"""The table of paths: which wire a path speaks, what is asked there, and whether it needs a key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from deploy.simulator import (
    anthropic_answer,
    anthropic_batches,
    anthropic_request,
    azure,
    bedrock_answer,
    bedrock_batches,
    bedrock_request,
    bedrock_signature,
    embeddings,
    gemini_answer,
    gemini_batches,
    gemini_request,
    openai_answer,
    openai_batches,
    openai_request,
    responses_answer,
    responses_events,
    responses_request,
    vertex_claude,
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
        limits="anthropic",
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


def _converse(path: str, model: str, action: str) -> Wire[Question]:
    counted = action == "count-tokens"
    return Wire(
        check=bedrock_signature.check,
        read=partial(bedrock_request.read, path=path, model=model, action=action),
        plain=bedrock_answer.count if counted else bedrock_answer.plain,
        stream=None if counted else bedrock_answer.stream,
        error=bedrock_answer.error,
        ordered=bedrock_answer.ordered,
        models=bedrock_answer.nothing,
        model=bedrock_answer.nothing,
        broken=bedrock_answer.broken,
        overloaded=503,
        request_id=b"x-amzn-requestid",
        error_type=b"x-amzn-errortype",
        limits="bedrock",
        stream_type=b"content-type: application/vnd.amazon.eventstream\r\n",
    )


_GEMINI = Wire(
    check=gemini_request.check,
    read=partial(gemini_request.read, model="", stream=False, vertex=False),  # those of answers know their path
    plain=gemini_answer.plain,
    stream=gemini_answer.stream,
    error=gemini_answer.error,
    ordered=gemini_answer.ordered,
    models=gemini_answer.models,
    model=gemini_answer.model,
    broken=gemini_answer.broken,
    overloaded=503,
    request_id=b"x-request-id",
    limits="gemini",
)
_GEMINI_ON_VERTEX = replace(
    _GEMINI, check=gemini_request.check_vertex, models=gemini_answer.publisher_models, limits="vertex"
)
_GEMINI_PREFIX = "/gemini/v1beta"

_ANTHROPIC_PREFIXES = ("", "/anthropic")
_ANTHROPIC_PATHS: dict[str, Wire[Any]] = {"/v1/messages": _MESSAGES, "/v1/messages/count_tokens": _COUNT}
_OPENAI_PREFIXES = ("", "/v1", "/openai", "/openai/v1")
_OPENAI_PATHS: dict[str, Wire[Any]] = {
    "/chat/completions": _CHAT,
    "/responses": _RESPONSES,
    "/responses/input_tokens": _RESPONSES_COUNT,
    "/embeddings": _EMBEDDINGS,
}
_KEYLESS_PREFIXES = ("/ollama/v1", "/vllm/v1")
"""Stand-ins for local servers."""
_AZURE_PATHS = {path: replace(wire, check=azure.check, limits="azure") for path, wire in _OPENAI_PATHS.items()}


class Route(msgspec.Struct, frozen=True):
    """What a path means.

    Attributes:
        name: the model that the path names; of an answer, that which the body names does not count then.
        query: what the query must hold.
    """

    wire: Wire[Any]
    operation: Operation
    key_required: bool = True
    name: str = ""
    query: str = ""


def _fixed() -> dict[tuple[str, str], Route]:
    routes: dict[tuple[str, str], Route] = {}
    for prefixes, key_required in ((_OPENAI_PREFIXES, True), (_KEYLESS_PREFIXES, False)):
        for prefix in prefixes:
            for path, wire in _OPENAI_PATHS.items():
                routes["POST", prefix + path] = Route(wire, "answer", key_required)
            routes["GET", f"{prefix}/models"] = Route(_CHAT, "models", key_required)
    for path, wire in _AZURE_PATHS.items():
        routes["POST", f"{azure.PREFIX}/v1{path}"] = Route(wire, "answer")
        routes["POST", azure.PREFIX + path] = Route(wire, "answer", query=azure.VERSION)
    routes["GET", f"{azure.PREFIX}/v1/models"] = Route(_AZURE_PATHS["/chat/completions"], "models")
    routes["GET", f"{azure.PREFIX}/models"] = Route(_AZURE_PATHS["/chat/completions"], "models", query=azure.VERSION)
    for prefix in _ANTHROPIC_PREFIXES:
        for path, wire in _ANTHROPIC_PATHS.items():
            routes["POST", prefix + path] = Route(wire, "answer")
    routes["GET", "/anthropic/v1/models"] = Route(_MESSAGES, "models")
    routes["POST", f"{_GEMINI_PREFIX}/openai/embeddings"] = Route(_EMBEDDINGS, "answer")
    routes["GET", f"{_GEMINI_PREFIX}/models"] = Route(_GEMINI, "models")
    routes["GET", "/vertex/v1beta1/publishers/google/models"] = Route(_GEMINI_ON_VERTEX, "models")
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
        return replace(route, operation="model", name=unquote(name))
    if route := _cloud(method, path):
        return route
    if anthropic_batches.PATH.fullmatch(path):
        return Route(_MESSAGES, "batch")
    if gemini_batches.PATH.fullmatch(path):
        return Route(_GEMINI, "batch")
    if bedrock_batches.PATH.fullmatch(path):
        return Route(_converse(path, "", "batch"), "batch")
    if batch := openai_batches.PATH.fullmatch(path):
        return Route(_CHAT, "batch", key_required=batch["prefix"] not in _KEYLESS_PREFIXES)
    if path.startswith(("/gemini/", "/vertex/")):
        return Route(_GEMINI, "none", key_required=False)
    unknown = _MESSAGES if speaks_anthropic or path.startswith("/anthropic") else _CHAT
    return Route(unknown, "none", key_required=False)


def _cloud(method: str, path: str) -> Route | None:
    """The route of a path that names its model, as the clouds' do."""
    if method != "POST":
        return None
    if found := azure.DEPLOYED.fullmatch(path):
        return Route(_AZURE_PATHS[found["path"]], "answer", name=unquote(found["deployment"]), query=azure.VERSION)
    if (found := gemini_request.PATH.fullmatch(path)) and (found["vertex"] or found["method"] != "predict"):
        return _gemini(unquote(found["model"]), found["method"], vertex=found["vertex"] is not None)
    if found := vertex_claude.PATH.fullmatch(path):
        if (name := unquote(found["model"])) == vertex_claude.COUNT:
            return Route(replace(_COUNT, check=vertex_claude.check, read=vertex_claude.read_count), "answer")
        read = partial(vertex_claude.read, model=name, verb=found["verb"])
        return Route(replace(_MESSAGES, check=vertex_claude.check, read=read), "answer")
    if found := bedrock_request.PATH.fullmatch(path):
        name = unquote(found["model"])
        return Route(_converse(path, name, found["action"]), "answer", name=name)
    return None


def _gemini(model: str, method: str, *, vertex: bool) -> Route:
    wire = _GEMINI_ON_VERTEX if vertex else _GEMINI
    if method == "countTokens":
        read = partial(gemini_request.read_count, model=model, vertex=vertex)
        return Route(replace(wire, read=read, plain=gemini_answer.count), "answer")
    if method == "predict":
        read_texts = partial(embeddings.read_predict, model=model)
        return Route(replace(wire, read=read_texts, plain=embeddings.predicted), "answer")
    streamed = method == "streamGenerateContent"
    read = partial(gemini_request.read, model=model, stream=streamed, vertex=vertex)
    return Route(replace(wire, read=read), "answer", query="alt=sse" if streamed else "")
