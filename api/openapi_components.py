"""The named parts of `/openapi.json`: headers, queries, errors, bodies of our own, who may ask, and the webhooks."""

from __future__ import annotations

from typing import Any

import msgspec

from api.admin_bodies import KeyBody, SharedBody
from shared.jobs import State
from shared.webhook_events import TEST_NAME
from shared.webhook_settings import EVENTS

JSON = "application/json"
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_NUMBER = {"type": "integer"}
_TIME = {"type": ["string", "null"], "format": "date-time"}

_CALLER: list[dict[str, list[str]]] = [
    {name: []} for name in ("virtualKey", "bearer", "x-api-key", "x-goog-api-key", "api-key")
]
_OPERATOR: list[dict[str, list[str]]] = [{"adminToken": []}, {"session": []}]
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "open": [],
    "caller": [{}, *_CALLER],
    "cache": [{}, *_CALLER, {"adminToken": []}],
    "program": [{}, {"adminToken": []}],
    "operator": [{}, *_OPERATOR],
}
"""`{}`: without a key where the configuration asks for none, without a token on the gateway's own machine."""


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _list_of(schema: str) -> dict[str, Any]:
    items = {"$ref": f"#/components/schemas/{schema}"}
    return _object("object", "data", object={"const": "list"}, data={"type": "array", "items": items})


# --- what is sent ------------------------------------------------------------------------------------------

ASKED_HEADERS = {
    "x-bf-async": "`true`: submit as a job; the answer is a placeholder with its id.",
    "x-bf-async-id": "Poll that job; the body is not read.",
    "x-bf-async-job-result-ttl": "Seconds that the outcome is kept after the job has ended.",
    "x-bf-async-delete-on-read": "`true`, on a poll: the outcome is deleted once it has been sent.",
    "x-bf-async-webhook": "Name of the endpoint that hears of the end.",
    "x-bf-async-wait": "Hold the answer up to so many seconds, 300 at most.",
    "Prefer": "`wait=N`: the same.",
    "Idempotency-Key": "Same key, same body: the same job, batch or file, for 24 hours.",
    "x-bf-batch-mode": "`native`: by the provider's own batch API; `direct`: by single calls; `auto`: as suits.",
    "x-model-provider": "Who serves a model without a `provider/` prefix.",
    "x-bf-api-key": "Name of the provider's configured key to use.",
    "x-bf-api-key-id": "The same by the key's `id`; goes before its name.",
    "x-bf-session-id": "Requests of one session stay with one key.",
    "x-bf-cache-key": "Answer from the response cache, or keep the answer there, under this key.",
    "x-bf-cache-ttl": "Seconds, or as in `5m`, that the answer is kept.",
    "x-bf-cache-type": "`direct` for an equal request, `semantic` for one that means the same.",
    "x-bf-cache-threshold": "Least similarity of a semantic hit, 0 to 1.",
    "x-bf-cache-no-store": "`true`: the answer is not kept.",
    "x-bf-disable-content-logging": "Accepted; no content is ever logged.",
    "anthropic-version": "`2023-06-01` or `2026-10-21`; sent on to Anthropic.",
    "anthropic-beta": "Sent on to Anthropic.",
    "traceparent": "The trace that goes on through the queue to the provider's answer.",
    "Range": "A part of the bytes.",
    "Last-Event-ID": "Go on after this event.",
}
QUERIES = {
    "limit": "The most entries of a page.",
    "after": "The page after this entry.",
    "after_id": "The page after this entry.",
    "before_id": "The page before this entry.",
    "page": "`next_page` of the page before.",
    "order": "`asc` or `desc`.",
    "status": "Only those in this state.",
    "purpose": "Only files of this purpose.",
    "provider": "Who serves a model without a `provider/` prefix.",
    "stream": "`true`: the events of the response instead of it.",
    "starting_after": "The number of the event that was seen last.",
    "ids[]": "These, instead of a page.",
}

# --- what comes back ---------------------------------------------------------------------------------------

TOLD_HEADERS = {
    "request-id": "Name of this answer, as Anthropic has it.",
    "x-request-id": "Name of this answer, as OpenAI has it.",
    "x-bf-job-id": "The job that the request became.",
    "x-bf-async-status": f"How the job stands: {', '.join(State)}.",
    "x-bf-provider": "Who served it.",
    "x-bf-model": "The model's name there.",
    "x-bf-key": "Name of the key it was called with.",
    "x-bf-fallback-index": "Which of the fallbacks served it, from 1.",
    "x-bf-dropped": "Harmless hints of the request that the provider could not express.",
    "x-bf-models-missing": "Providers whose models could not be listed.",
    "x-bf-cache-hit": "The answer is from the response cache: `direct` or `semantic`.",
    "x-bf-cache-id": "Its name there.",
    "x-bf-cache-similarity": "How alike the two requests are, 0 to 1.",
    "x-bf-cache-threshold": "How alike they had to be.",
    "retry-after": "Seconds after which to try again.",
    "retry-after-ms": "Milliseconds after which to ask again.",
    "x-should-retry": "Whether an SDK is to try again, where its own guess would be wrong.",
    "accept-ranges": "`bytes`.",
    "content-range": "Which of the bytes these are.",
    "content-disposition": "Under which name to save it.",
    "location": "Where to go on.",
}
FAILED = ("x-bf-job-id", "x-bf-async-status", "x-bf-provider", "x-bf-model", "x-bf-key", "x-bf-fallback-index",
          "x-bf-dropped", "retry-after", "x-should-retry", "content-range")  # fmt: skip
"""What an error may carry, besides its request id."""


def _failure(schema: str, *headers: str) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    named = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return {"description": "What was wrong, where, and what to do.", "headers": named, "content": {JSON: content}}


_SAID = _object("type", "message", type=_TEXT, message=_TEXT)
_JOB = _object(
    "id", "object", "status", "lane", "operation", "dialect", "model", "created_at", "started_at", "completed_at",
    "expires_at", "attempts",
    id=_TEXT,
    object={"const": "job"},
    status={"enum": [state.value for state in State]},
    lane=_TEXT,
    operation=_TEXT,
    dialect=_TEXT,
    model=_TEXT,
    created_at=_TIME,
    started_at=_TIME,
    completed_at=_TIME,
    expires_at=_TIME,
    attempts={"type": "array", "items": {"$ref": "#/components/schemas/Attempt"}},
    waiting={"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Waiting"}]},
    error={"type": ["object", "null"]},
    cost_usd={"type": ["number", "null"]},
    cached={"type": "boolean"},
)  # fmt: skip
_ATTEMPT = _object(
    "number", "target", "key", "started_at", "ended_at", "reason", "decision",
    number=_NUMBER,
    target=_TEXT,
    key=_TEXT,
    started_at=_TIME,
    ended_at=_TIME,
    reason={"type": ["object", "null"]},
    decision=_MAYBE_TEXT,
)  # fmt: skip
_WAITING = _object(
    "reason", "position", "until", "target",
    reason=_TEXT, position={"type": ["integer", "null"]}, until=_TIME, target=_MAYBE_TEXT,
)  # fmt: skip
_ASYNC_JOB = _object(
    "id", "request_id", "status", "created_at",
    id=_TEXT,
    request_id=_TEXT,
    status={"enum": ["pending", "processing", "completed", "failed"]},
    created_at=_TIME,
    completed_at=_TIME,
    expires_at=_TIME,
    status_code=_NUMBER,
    result={"type": "object"},
    error={"type": "object"},
)  # fmt: skip
_WEBHOOK = _object(
    "id", "object", "name", "url", "events", "disabled", "source",
    id=_TEXT,
    object={"const": "webhook"},
    name=_TEXT,
    url=_TEXT,
    secret=_TEXT,
    events={"type": "array", "items": {"enum": list(EVENTS)}},
    disabled={"type": "boolean"},
    source={"enum": ["config", "admin"]},
)  # fmt: skip
_DELIVERY = _object(
    "id", "object", "webhook", "event_id", "event", "type", "subject", "status", "created_at", "attempts",
    object={"const": "webhook.delivery"},
    status={"enum": ["pending", "delivering", "delivered", "failed", "not_sent"]},
    created_at=_TIME,
    ended_at=_TIME,
    next_attempt_at=_TIME,
    attempts={"type": "array", "items": {"type": "object"}},
)  # fmt: skip
_EVENT = _object(
    "object", "id", "type", "event", "created_at", "data",
    object={"const": "event"},
    id=_TEXT,
    type=_TEXT,
    event=_TEXT,
    created_at=_NUMBER,
    data=_object("id", "type", id=_TEXT, type=_TEXT),
)  # fmt: skip
_, _BODIES = msgspec.json.schema_components([KeyBody, SharedBody], ref_template="#/components/schemas/{name}")


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": _TEXT}


def _query(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "array", "items": _TEXT} if name.endswith("[]") else _TEXT
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _key_in(header: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "header", "name": header, "description": "A virtual key, `sk-bf-…`."}


COMPONENTS: dict[str, Any] = {
    "securitySchemes": {
        "virtualKey": {**_key_in("x-bf-vk"), "description": "A virtual key."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "A virtual key, `sk-bf-…`."},
        **{name: _key_in(name) for name in ("x-api-key", "x-goog-api-key", "api-key")},
        "adminToken": {"type": "http", "scheme": "bearer", "description": "`admin.token` of the configuration."},
        "session": {"type": "apiKey", "in": "cookie", "name": "hermod_session"},
    },
    "parameters": {name: _header(name, said) for name, said in ASKED_HEADERS.items()}
    | {name.removesuffix("[]"): _query(name, said) for name, said in QUERIES.items()},
    "headers": {name: {"description": said, "schema": _TEXT} for name, said in TOLD_HEADERS.items()},
    "responses": {
        "AnthropicError": _failure("AnthropicError", "request-id", *FAILED),
        "OpenAIError": _failure("OpenAIError", "x-request-id", *FAILED),
        "Page": {"description": "What was wrong, where, and what to do.", "content": {"*/*": {}}},
    },
    "schemas": {
        "Object": {"type": "object"},
        "List": _object("data", data={"type": "array", "items": {"type": "object"}}),
        "Health": _object("status", status=_TEXT),
        "ModelRequest": _object("model", model=_TEXT),
        "Form": {"type": "object"},
        "Job": _JOB,
        "Attempt": _ATTEMPT,
        "Waiting": _WAITING,
        "Jobs": _list_of("Job"),
        "AsyncJob": _ASYNC_JOB,
        "Webhook": _WEBHOOK,
        "Webhooks": _list_of("Webhook"),
        "Delivery": _DELIVERY,
        "Deliveries": _list_of("Delivery"),
        "Event": _EVENT,
        "AnthropicError": _object("type", "error", type={"const": "error"}, error=_SAID),
        "OpenAIError": _object("error", error=_SAID),
        **_BODIES,
    },
}


def webhooks() -> dict[str, Any]:
    """What endpoints are sent: an event for each name, signed as Standard Webhooks asks."""
    signed = {
        "webhook-id": "Name of the event, the same at every try.",
        "webhook-timestamp": "Unix seconds of this try.",
        "webhook-signature": "`v1,…`, one for each live secret.",
    }
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Event"}}}
    operation = {
        "summary": "A job or a batch has ended, or an endpoint is tried out.",
        "parameters": [{**_header(name, said), "required": True} for name, said in signed.items()],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "2XX": {"description": "Taken."},
            "410": {"description": "Send nothing more."},
            "default": {"description": "Tried again, for 72 hours."},
        },
    }
    return {name: {"post": operation} for name in (*EVENTS, TEST_NAME)}
