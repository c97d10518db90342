"""`/openapi.json`: every route that is served, built from the application itself.

Bodies that are the vendors' own are objects here with what must be in them: the vendors describe the rest, and what
they add tomorrow passes through. Preflights (OPTIONS) are answered on every path and not listed, nor is
`x-bf-eh-<name>`, which every route that runs a model sends to the provider as `<name>`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.routes import HTTPRoute

from api.openapi_components import COMPONENTS, SECURITY, webhooks
from api.openapi_facts import Fact, fact_of
from api.submit import AnyRequest

_NO_CONTENT = 204
_PARAMETER = re.compile(r"\{(\w+):\w+\}")


def routes() -> list[HTTPRouteHandler]:
    """The handler; the document is made when it is first asked for, once all routes are there."""

    @get("/openapi.json")
    async def describe(request: AnyRequest) -> ASGIResponse:
        """This document."""
        return ASGIResponse(body=_encoded(request.app), media_type="application/json")

    return [describe]


@cache
def _encoded(app: Litestar) -> bytes:
    return msgspec.json.encode(document(app))


def document(app: Litestar) -> dict[str, Any]:
    """OpenAPI 3.1 of the application's routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        operations = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
        for method in sorted(set(route.methods) - {"OPTIONS"}):
            handler, _ = route.route_handler_map[method]
            operations[method.lower()] = _operation(method, route.path, handler)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hermod", "version": "1", "description": (__doc__ or "").partition("\n\n")[2]},
        "servers": [{"url": "/"}],
        "paths": paths,
        "webhooks": webhooks(),
        "components": COMPONENTS,
    }


def _operation(method: str, path: str, handler: HTTPRouteHandler) -> dict[str, Any]:
    fact = fact_of(method, path)
    summary, _, more = (handler.fn.__doc__ or "").strip().partition("\n")
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{_PARAMETER.sub(r'by_', path)}").strip("_"),
        "summary": summary,
        "tags": [fact.tag],
        "parameters": [*_in_path(path), *({"$ref": f"#/components/parameters/{name}"} for name in fact.parameters)],
        "responses": _responses(fact),
        "security": SECURITY[fact.security],
    }
    if more.strip():
        operation["description"] = more.strip()
    if fact.body:
        content = {fact.body: {"schema": {"$ref": f"#/components/schemas/{fact.asks}"}}}
        operation["requestBody"] = {"required": fact.body_required, "content": content}
    return operation


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(path)
    ]


def _responses(fact: Fact) -> dict[str, Any]:
    schema = {"schema": {"$ref": f"#/components/schemas/{fact.tells}"}} if fact.tells else {}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in fact.headers}
    done = {
        "description": "As asked.",
        "content": {media: schema if media == "application/json" else {} for media in fact.media},
        **({"headers": headers} if headers else {}),
    }
    bare = {**done, "content": {}}
    failed = {"$ref": f"#/components/responses/{fact.error}"}
    return {
        **{str(status): bare if status == _NO_CONTENT else done for status in fact.statuses},
        **dict.fromkeys(fact.failures, failed),
    }
