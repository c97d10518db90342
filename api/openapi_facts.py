"""What `/openapi.json` says of the routes beyond their paths: who may ask, what is sent, what comes back."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec.structs import replace

from api.openapi_components import JSON

FORM = "multipart/form-data"
EVENTS = "text/event-stream"
_WEB_FORM = "application/x-www-form-urlencoded"


class Fact(msgspec.Struct, frozen=True):
    """One kind of route.

    Attributes:
        tag: the surface.
        security: key of SECURITY.
        error: the component that failures are shown as.
        statuses: of success.
        media: content types of success; none for an answer without a body.
        tells: schema of success.
        body: content type that is sent; empty for none.
        asks: schema of what is sent.
        body_required: false where a route takes an empty body too.
        parameters: components of the headers and the query that it looks at.
        headers: components of the headers that a success carries.
        failures: what else may come back.
    """

    tag: str = ""
    security: str = "caller"
    error: str = "OpenAIError"
    statuses: tuple[int, ...] = (200,)
    media: tuple[str, ...] = (JSON,)
    tells: str = "Object"
    body: str = ""
    asks: str = "Object"
    body_required: bool = True
    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


_ALWAYS = ("400", "404", "408", "431", "500")
_LOOKED_UP = ("401", "403", "503")
_SENT = ("409", "413", "415", "429")
_ASKED = ("402", "429", "499", "502", "504", "529", "4XX", "5XX")
"""A provider's own statuses are passed on."""

_WAITS = ("Prefer", "x-bf-async-wait")
_POLLED = ("x-bf-async", "x-bf-async-id", "x-bf-async-delete-on-read")
_TRAVEL = ("anthropic-version", "anthropic-beta", "traceparent")
_KEYS = ("x-bf-api-key", "x-bf-api-key-id", "x-bf-session-id")
_SUBMITS = (
    "x-bf-async-job-result-ttl",
    "x-bf-async-webhook",
    "x-bf-disable-content-logging",
    "x-bf-cache-key",
    "x-bf-cache-ttl",
    "x-bf-cache-type",
    "x-bf-cache-threshold",
    "x-bf-cache-no-store",
    "Idempotency-Key",
    *_KEYS,
    *_TRAVEL,
    *_WAITS,
)
_ONCE = ("Idempotency-Key",)
_BATCHED = (*_ONCE, "x-bf-batch-mode", "x-model-provider", "x-bf-async-webhook", *_TRAVEL[:2], "provider")
_SERVED = ("x-bf-job-id", "x-bf-provider", "x-bf-model", "x-bf-key", "x-bf-fallback-index", "x-bf-dropped")
_CACHED = ("x-bf-cache-hit", "x-bf-cache-id", "x-bf-cache-similarity", "x-bf-cache-threshold")
_STANDING = ("x-bf-job-id", "x-bf-async-status", "retry-after-ms")

_OPEN = Fact(security="open")
_LOOK = Fact(failures=_LOOKED_UP)
_MODELS = Fact(headers=("x-bf-models-missing",), parameters=_KEYS, failures=(*_LOOKED_UP, *_ASKED))
_RUN = Fact(
    media=(JSON, EVENTS),
    body=JSON,
    asks="ModelRequest",
    body_required=False,
    parameters=(*_POLLED, *_SUBMITS),
    headers=(*_SERVED, *_CACHED, "x-bf-async-status", "retry-after-ms"),
    failures=(*_LOOKED_UP, *_SENT, *_ASKED),
)
_COUNT = Fact(
    body=JSON,
    asks="ModelRequest",
    body_required=False,
    parameters=(*_KEYS, *_TRAVEL),
    headers=_SERVED,
    failures=_RUN.failures,
)
_POST = Fact(body=JSON, failures=(*_LOOKED_UP, *_SENT))
_UPLOAD = Fact(body=FORM, asks="Form", failures=(*_LOOKED_UP, *_SENT))
_BYTES = Fact(
    statuses=(200, 206),
    media=("*/*",),
    tells="",
    parameters=("Range",),
    headers=("accept-ranges", "content-range", "content-disposition"),
    failures=(*_LOOKED_UP, "416"),
)
_JOB = Fact(tells="Job", headers=("x-bf-job-id",), failures=_LOOKED_UP)
_ASYNC = Fact(statuses=(200, 202), tells="AsyncJob", parameters=_WAITS, headers=_STANDING[:2], failures=_LOOKED_UP)
_ADMIN = Fact(security="operator", failures=(*_LOOKED_UP, "409"))
_ADMIN_POST = replace(_ADMIN, body=JSON, failures=(*_LOOKED_UP, *_SENT))
_ADMIN_ACT = replace(_ADMIN_POST, body="")
_CONSOLE = Fact(
    security="operator",
    error="Page",
    statuses=(200, 303),
    media=("text/html",),
    tells="",
    headers=("location",),
    failures=_LOOKED_UP,
)
_CONSOLE_POST = replace(_CONSOLE, media=("*/*",), body=_WEB_FORM, body_required=False, failures=(*_LOOKED_UP, *_SENT))


def _listed(*queries: str, tells: str = "List", **more: Any) -> Fact:
    return Fact(parameters=queries, tells=tells, failures=_LOOKED_UP, **more)


_KINDS: tuple[tuple[str, str, Fact], ...] = (
    (r"HEAD", r"/anthropic", replace(_OPEN, media=(), tells="")),
    (r"GET", r"/openapi\.json", _OPEN),
    (r"GET", r"/(live|ready|health)", replace(_OPEN, statuses=(200, 503), tells="Health")),
    (r"GET", r"/metrics", replace(_ADMIN, security="program", media=("text/plain",), tells="")),
    (r"GET", r"/console/static/.*", Fact(security="open", error="Page", media=("*/*",), tells="")),
    (r"GET", r"/console/login", replace(_CONSOLE, security="open")),
    (r"POST", r"/console/login", replace(_CONSOLE_POST, security="open")),
    (
        r"GET",
        r"/console/.*/events",
        replace(_CONSOLE, media=(EVENTS,), headers=("x-request-id", "x-bf-job-id", "location")),
    ),
    (r"GET", r"/console.*", _CONSOLE),
    (r"POST", r"/console.*", _CONSOLE_POST),
    (r"POST", r"/admin/virtual-keys", replace(_ADMIN_POST, statuses=(201,), asks="KeyBody")),
    (r"PATCH", r"/admin/virtual-keys/\{name:str\}", replace(_ADMIN_POST, asks="KeyBody")),
    (r"POST", r"/admin/(teams|customers)", replace(_ADMIN_POST, statuses=(201,), asks="SharedBody")),
    (r"PATCH", r"/admin/(teams|customers)/\{name:str\}", replace(_ADMIN_POST, asks="SharedBody")),
    (r"GET", r"/admin/(virtual-keys|teams|customers)", replace(_ADMIN, tells="List")),
    (r"POST", r"/(admin|api)/webhooks", replace(_ADMIN_POST, statuses=(201,), tells="Webhook")),
    (r"GET", r"/(admin|api)/webhooks", replace(_ADMIN, tells="Webhooks")),
    (r"POST", r"/(admin|api)/webhooks/.*/(test|redeliver)", replace(_ADMIN_ACT, statuses=(202,), tells="Delivery")),
    (
        r"GET",
        r"/(admin|api)/webhooks/\{name:str\}/deliveries",
        replace(_ADMIN, tells="Deliveries", parameters=("limit", "after", "status")),
    ),
    (r"GET", r"/(admin|api)/webhooks/deliveries/.*", replace(_ADMIN, tells="Delivery")),
    (r"POST", r"/(admin|api)/webhooks/.*/rotate-secret", replace(_ADMIN_ACT, tells="Webhook")),
    (r"GET", r"/(admin|api)/webhooks/\{name:str\}", replace(_ADMIN, tells="Webhook")),
    (r"PATCH|PUT", r"/(admin|api)/webhooks/\{name:str\}", replace(_ADMIN_POST, tells="Webhook")),
    (r"POST", r"/admin/.*/revoke", _ADMIN_ACT),
    (r"DELETE", r"/api/cache/.*", replace(_LOOK, security="cache")),
    (r"DELETE|GET", r"/(admin|api)/.*", _ADMIN),
    (
        r"POST",
        r"/v1/async/.*",
        replace(_ASYNC, body=JSON, asks="ModelRequest", parameters=_SUBMITS, failures=_RUN.failures),
    ),
    (r"GET", r"/v1/async/.*", _ASYNC),
    (r"GET", r"/anthropic/v1/models", replace(_MODELS, parameters=("limit", "after_id", "before_id", *_KEYS))),
    (r"GET", r".*/models(/.*)?", _MODELS),
    (r"POST", r".*/(count_tokens|input_tokens)", _COUNT),
    (r"POST", r".*/(messages|chat/completions|responses)", _RUN),
    (r"POST", r".*/embeddings", replace(_RUN, media=(JSON,))),
    (r"POST", r".*/files", replace(_UPLOAD, parameters=_ONCE)),
    (r"POST", r".*/uploads/.*/parts", _UPLOAD),
    (r"POST", r".*/batches", replace(_POST, parameters=_BATCHED)),
    (r"POST", r".*/retry", replace(_LOOK, parameters=_BATCHED, failures=(*_LOOKED_UP, *_SENT))),
    (r"POST", r"/v1/jobs/.*/cancel", replace(_JOB, failures=(*_LOOKED_UP, *_SENT))),
    (r"POST", r".*/responses/.*/cancel", replace(_LOOK, headers=("x-bf-job-id",), failures=(*_LOOKED_UP, *_SENT))),
    (r"POST", r".*/cancel", replace(_LOOK, failures=(*_LOOKED_UP, *_SENT))),
    (r"POST", r".*", _POST),
    (r"GET", r".*/content", _BYTES),
    (r"GET", r".*/results", Fact(media=("application/x-jsonl",), tells="", failures=_LOOKED_UP)),
    (
        r"GET",
        r"/v1/jobs/.*/events",
        Fact(
            statuses=(200, 204),
            media=(EVENTS,),
            parameters=("Last-Event-ID",),
            headers=("x-bf-job-id",),
            failures=_LOOKED_UP,
        ),
    ),
    (
        r"GET",
        r".*/responses/\{name:str\}",
        replace(_LOOK, media=(JSON, EVENTS), parameters=("stream", "starting_after"), headers=("x-bf-job-id",)),
    ),
    (r"GET", r"/v1/jobs/\{job_id:str\}", replace(_JOB, parameters=_WAITS)),
    (r"GET", r"/v1/jobs", _listed("limit", "after", "status", tells="Jobs")),
    (r"GET", r"/anthropic/v1/files", _listed("limit", "page", "after_id", "before_id", "ids")),
    (r"GET", r"/anthropic/.*/batches", _listed("limit", "after_id", "before_id")),
    (r"GET", r".*/files", _listed("limit", "after", "order", "purpose")),
    (r"GET", r".*/batches", _listed("limit", "after")),
    (r"GET", r".*/input_items", _listed("limit", "after", "order")),
    (r"GET|DELETE", r".*", _LOOK),
)
"""The first that fits is the route's."""

_TAGS = (
    ("/anthropic", "Anthropic"),
    ("/openai", "OpenAI"),
    ("/v1/jobs", "jobs"),
    ("/v1", "native"),
    ("/console", "console"),
)
_UNNAMED = r"/(live|ready|health|metrics|openapi\.json|anthropic|console.*)"
"""Answers that carry no request id."""


def fact_of(method: str, path: str) -> Fact:
    """What is said of a route; `path` is Litestar's."""
    fact = next(fact for methods, paths, fact in _KINDS if re.fullmatch(methods, method) and re.fullmatch(paths, path))
    tag = next((tag for prefix, tag in _TAGS if path.startswith(prefix)), "operations")
    is_anthropic = path.startswith("/anthropic")
    named = () if re.fullmatch(_UNNAMED, path) else ("request-id" if is_anthropic else "x-request-id",)
    return replace(
        fact,
        tag=tag,
        error="AnthropicError" if is_anthropic else fact.error,
        headers=(*named, *fact.headers),
        failures=(*_ALWAYS, *fact.failures),
    )
