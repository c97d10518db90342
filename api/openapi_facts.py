"""What `/openapi.json` says of the routes beyond their paths: who may ask, what is sent, what comes back."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from api.admin_bodies import KeyBody, SharedBody

JSON = "application/json"
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
_RUNS = (
    "x-bf-async",
    "x-bf-async-id",
    "x-bf-async-job-result-ttl",
    "x-bf-async-delete-on-read",
    "x-bf-async-webhook",
    "x-bf-disable-content-logging",
    "x-bf-cache-key",
    "x-bf-cache-ttl",
    "x-bf-cache-type",
    "x-bf-cache-threshold",
    "x-bf-cache-no-store",
    "x-bf-api-key",
    "x-bf-session-id",
    "Idempotency-Key",
    *_WAITS,
)
_ONCE = ("Idempotency-Key",)
_PAGES = ("limit", "after", "before", "after_id", "before_id")

_OPEN = Fact(security="open")
_LOOK = Fact(failures=_LOOKED_UP)
_MODELS = Fact(failures=(*_LOOKED_UP, *_ASKED))
_RUN = Fact(
    media=(JSON, EVENTS),
    body=JSON,
    asks="ModelRequest",
    body_required=False,
    parameters=_RUNS,
    headers=("x-bf-job-id",),
    failures=(*_LOOKED_UP, *_SENT, *_ASKED),
)
_POST = Fact(body=JSON, failures=(*_LOOKED_UP, *_SENT))
_UPLOAD = Fact(body=FORM, asks="Form", failures=(*_LOOKED_UP, *_SENT))
_PAGE = Fact(parameters=_PAGES, tells="List", failures=_LOOKED_UP)
_BYTES = Fact(statuses=(200, 206), media=("*/*",), parameters=("Range",), failures=(*_LOOKED_UP, "416"))
_JOB = Fact(statuses=(202,), body=JSON, asks="ModelRequest", parameters=_WAITS, headers=("x-bf-job-id",))
_ADMIN = Fact(security="admin", failures=(*_LOOKED_UP, "409"))
_ADMIN_POST = msgspec.structs.replace(_ADMIN, body=JSON, failures=(*_LOOKED_UP, *_SENT))
_CONSOLE = Fact(security="session", error="Page", statuses=(200, 303), media=("text/html",), failures=_LOOKED_UP)

_KINDS: tuple[tuple[str, str, Fact], ...] = (
    (r"HEAD", r"/anthropic", msgspec.structs.replace(_OPEN, media=())),
    (r"GET", r"/openapi\.json", msgspec.structs.replace(_OPEN, tells="Object")),
    (r"GET", r"/(live|ready|health)", msgspec.structs.replace(_OPEN, statuses=(200, 503), tells="Health")),
    (r"GET", r"/metrics", msgspec.structs.replace(_ADMIN, media=("text/plain",), tells="")),
    (r"GET", r"/console/static/.*", Fact(security="open", error="Page", media=("*/*",), tells="")),
    (r"GET", r"/console/.*/events", msgspec.structs.replace(_CONSOLE, media=(EVENTS,))),
    (r"GET", r"/console.*", _CONSOLE),
    (
        r"POST",
        r"/console.*",
        msgspec.structs.replace(_CONSOLE, media=("*/*",), body=_WEB_FORM, failures=(*_LOOKED_UP, *_SENT)),
    ),
    (r"POST", r"/admin/virtual-keys", msgspec.structs.replace(_ADMIN_POST, statuses=(201,), asks="KeyBody")),
    (r"PATCH", r"/admin/virtual-keys/\{name:str\}", msgspec.structs.replace(_ADMIN_POST, asks="KeyBody")),
    (r"POST", r"/admin/(teams|customers)", msgspec.structs.replace(_ADMIN_POST, statuses=(201,), asks="SharedBody")),
    (r"PATCH", r"/admin/(teams|customers)/\{name:str\}", msgspec.structs.replace(_ADMIN_POST, asks="SharedBody")),
    (r"POST", r"/(admin|api)/webhooks", msgspec.structs.replace(_ADMIN_POST, statuses=(201,))),
    (r"POST", r"/(admin|api)/.*", msgspec.structs.replace(_ADMIN_POST, statuses=(200, 201, 202), body_required=False)),
    (r"PATCH|PUT", r"/(admin|api)/.*", _ADMIN_POST),
    (r"GET", r"/(admin|api)/(virtual-keys|teams|customers|webhooks)", msgspec.structs.replace(_ADMIN, tells="List")),
    (r"DELETE", r"/api/cache/.*", _LOOK),
    (r".*", r"/(admin|api)/.*", _ADMIN),
    (r"POST", r"/v1/async/.*", msgspec.structs.replace(_JOB, failures=(*_LOOKED_UP, *_SENT, "402"))),
    (
        r"GET",
        r"/v1/async/.*",
        Fact(statuses=(200, 202), parameters=_WAITS, headers=("x-bf-job-id",), failures=_LOOKED_UP),
    ),
    (r"GET", r".*/models(/.*)?", _MODELS),
    (r"POST", r".*/(count_tokens|input_tokens)", msgspec.structs.replace(_RUN, media=(JSON,), parameters=())),
    (r"POST", r".*/(messages|chat/completions|responses)", _RUN),
    (r"POST", r".*/embeddings", msgspec.structs.replace(_RUN, media=(JSON,))),
    (r"POST", r".*/files", msgspec.structs.replace(_UPLOAD, parameters=_ONCE)),
    (r"POST", r".*/uploads/.*/parts", _UPLOAD),
    (r"POST", r".*/batches", msgspec.structs.replace(_POST, parameters=_ONCE)),
    (r"POST", r".*/retry", msgspec.structs.replace(_LOOK, parameters=_ONCE, failures=(*_LOOKED_UP, *_SENT))),
    (r"POST", r".*/cancel", msgspec.structs.replace(_LOOK, failures=(*_LOOKED_UP, *_SENT))),
    (r"POST", r".*", _POST),
    (r"GET", r".*/content", _BYTES),
    (r"GET", r".*/results", Fact(media=("application/x-jsonl",), tells="", failures=_LOOKED_UP)),
    (r"GET", r".*/jobs/.*/events", Fact(media=(EVENTS,), parameters=("Last-Event-ID",), failures=_LOOKED_UP)),
    (r"GET", r".*/responses/\{name:str\}", msgspec.structs.replace(_LOOK, media=(JSON, EVENTS))),
    (r"GET", r".*/jobs/\{job_id:str\}", msgspec.structs.replace(_LOOK, parameters=_WAITS)),
    (r"GET", r".*/(files|batches|jobs|input_items)", _PAGE),
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


def fact_of(method: str, path: str) -> Fact:
    """What is said of a route; `path` is Litestar's."""
    fact = next(fact for methods, paths, fact in _KINDS if re.fullmatch(methods, method) and re.fullmatch(paths, path))
    tag = next((tag for prefix, tag in _TAGS if path.startswith(prefix)), "operations")
    error = "AnthropicError" if path.startswith("/anthropic") else fact.error
    return msgspec.structs.replace(fact, tag=tag, error=error, failures=(*_ALWAYS, *fact.failures))


SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "open": [],
    "caller": [{}, {"virtualKey": []}, {"bearer": []}, {"x-api-key": []}],
    "admin": [{}, {"adminToken": []}, {"session": []}],
    "session": [{}, {"session": []}],
}
"""`{}`: without a key where the configuration asks for none, without a token on the gateway's own machine."""


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


_TEXT = {"type": "string"}
_ANTHROPIC_ERROR = _object(
    "type", "error", type={"const": "error"}, error=_object("type", "message", type=_TEXT, message=_TEXT)
)
_OPENAI_ERROR = _object("error", error=_object("message", "type", message=_TEXT, type=_TEXT))
_, _BODIES = msgspec.json.schema_components([KeyBody, SharedBody], ref_template="#/components/schemas/{name}")


def _failure(schema: str, media: str = JSON) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}} if schema else {}
    return {"description": "What was wrong, where, and what to do.", "content": {media: content}}


def _header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema or _TEXT}


def _query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": _TEXT}


_HEADERS = (
    _header("x-bf-async", "`true`: submit as a job; the answer is a placeholder with its id."),
    _header("x-bf-async-id", "Poll that job; the body is not read."),
    _header("x-bf-async-job-result-ttl", "Seconds that the outcome is kept after the job has ended."),
    _header("x-bf-async-delete-on-read", "`true`, on a poll: the outcome is deleted once it has been sent."),
    _header("x-bf-async-webhook", "Name of the endpoint that hears of the job's end."),
    _header("x-bf-disable-content-logging", "Accepted; no content is ever logged."),
    _header("x-bf-cache-key", "Answer from the response cache, or keep the answer there, under this key."),
    _header("x-bf-cache-ttl", "Seconds, or as in `5m`, that the answer is kept."),
    _header("x-bf-cache-type", "`direct` for an equal request, `semantic` for one that means the same."),
    _header("x-bf-cache-threshold", "Least similarity of a semantic hit, 0 to 1."),
    _header("x-bf-cache-no-store", "`true`: the answer is not kept."),
    _header("x-bf-api-key", "Name of the provider's configured key to use; `x-bf-api-key-id` takes its id."),
    _header("x-bf-session-id", "Requests of one session stay with one key."),
    _header("x-bf-async-wait", "Hold the answer up to so many seconds."),
    _header("Prefer", "`wait=N`: the same."),
    _header("Idempotency-Key", "Same key, same body: the same job, batch or file, for 24 hours."),
    _header("Range", "A part of the bytes."),
    _header("Last-Event-ID", "Go on after this event."),
)
COMPONENTS: dict[str, Any] = {
    "securitySchemes": {
        "virtualKey": {"type": "apiKey", "in": "header", "name": "x-bf-vk"},
        "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key, which begins `sk-bf-`."},
        "adminToken": {"type": "http", "scheme": "bearer", "description": "`admin.token` of the configuration."},
        "session": {"type": "apiKey", "in": "cookie", "name": "hermod_session"},
    },
    "parameters": {header["name"]: header for header in _HEADERS} | {name: _query(name) for name in _PAGES},
    "headers": {"x-bf-job-id": {"description": "The job that the request became.", "schema": _TEXT}},
    "responses": {
        "AnthropicError": _failure("AnthropicError"),
        "OpenAIError": _failure("OpenAIError"),
        "Page": _failure("", "*/*"),
    },
    "schemas": {
        "Object": {"type": "object"},
        "List": _object("data", data={"type": "array", "items": {"type": "object"}}),
        "Health": _object("status", status=_TEXT),
        "ModelRequest": _object("model", model=_TEXT),
        "Form": {"type": "object"},
        "AnthropicError": _ANTHROPIC_ERROR,
        "OpenAIError": _OPENAI_ERROR,
        **_BODIES,
    },
}
