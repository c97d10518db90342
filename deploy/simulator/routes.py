"""The table of paths: which wire and which operation a path means, and whether it needs a key."""

from __future__ import annotations

from typing import Literal
from urllib.parse import unquote

import msgspec

from deploy.simulator import anthropic_answer, anthropic_request, openai_answer, openai_request
from deploy.simulator.wires import Wire

Operation = Literal["answer", "count", "models", "model", "none"]

ANTHROPIC = Wire(
    check=anthropic_request.check,
    read=anthropic_request.read,
    plain=anthropic_answer.plain,
    stream=anthropic_answer.stream,
    error=anthropic_answer.error,
    ordered=anthropic_answer.ordered,
    models=anthropic_answer.models,
    model=anthropic_answer.model,
    broken=anthropic_answer.BROKEN,
    overloaded=529,
    request_id=b"request-id",
)
OPENAI = Wire(
    check=openai_request.check,
    read=openai_request.read,
    plain=openai_answer.plain,
    stream=openai_answer.stream,
    error=openai_answer.error,
    ordered=openai_answer.ordered,
    models=openai_answer.models,
    model=openai_answer.model,
    broken=openai_answer.BROKEN,
    overloaded=500,
    request_id=b"x-request-id",
)

_ANTHROPIC_PREFIXES = ("", "/anthropic")
_OPENAI_PREFIXES = ("", "/v1", "/openai", "/openai/v1")
_KEYLESS_PREFIXES = ("/ollama/v1", "/vllm/v1", "/azure/openai/v1", "/vertex/v1")
"""Stand-ins for providers that authenticate in other ways, or not at all."""


class Route(msgspec.Struct, frozen=True):
    """What a path means; `name` is the model of `GET …/models/{name}`."""

    wire: Wire
    operation: Operation
    key_required: bool = True
    name: str = ""


def _fixed() -> dict[tuple[str, str], Route]:
    routes: dict[tuple[str, str], Route] = {}
    for prefixes, key_required in ((_OPENAI_PREFIXES, True), (_KEYLESS_PREFIXES, False)):
        for prefix in prefixes:
            routes["POST", f"{prefix}/chat/completions"] = Route(OPENAI, "answer", key_required)
            routes["GET", f"{prefix}/models"] = Route(OPENAI, "models", key_required)
    for prefix in _ANTHROPIC_PREFIXES:
        routes["POST", f"{prefix}/v1/messages"] = Route(ANTHROPIC, "answer")
        routes["POST", f"{prefix}/v1/messages/count_tokens"] = Route(ANTHROPIC, "count")
    routes["GET", "/anthropic/v1/models"] = Route(ANTHROPIC, "models")
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
    unknown = ANTHROPIC if speaks_anthropic or path.startswith("/anthropic") else OPENAI
    return Route(unknown, "none", key_required=False)
