"""Every route of the gateway, and whom it lets in: the table that the application is held to."""

from __future__ import annotations

from enum import StrEnum


class Who(StrEnum):
    """Who asks, by what it sends as `Authorization: Bearer …`."""

    NOBODY = "no key"
    UNKNOWN = "an unknown key"
    OTHER = "another tenant's key"
    REVOKED = "a revoked key"
    EXPIRED = "an expired key"
    ADMIN = "the admin's token"
    OWNER = "the owner's key"


_ORDER = (Who.NOBODY, Who.UNKNOWN, Who.OTHER, Who.REVOKED, Who.EXPIRED, Who.ADMIN, Who.OWNER)
OK = 200
"""Stands for any success: 200, 201, 202 or 204."""

KINDS: dict[str, dict[Who, int]] = {
    kind: dict(zip(_ORDER, statuses, strict=True))
    for kind, statuses in {
        #          nobody unknown other revoked expired admin owner
        "open": (OK, OK, OK, OK, OK, OK, OK),
        "own": (401, 401, OK, 403, 403, 401, OK),
        "thing": (401, 401, 404, 403, 403, 401, OK),
        "model": (401, 401, OK, 403, 403, 401, OK),
        "native": (400, 400, OK, 403, 403, 400, OK),  # no key is a 400 or a 404 there, as Bifrost's own tests expect
        "native thing": (404, 404, 404, 403, 403, 404, OK),
        "cached": (401, 401, 404, 403, 403, OK, 404),  # by then the admin has cleared it
        "cache": (401, 401, OK, 403, 403, OK, OK),
        "console": (303, 401, 401, 401, 401, OK, 401),  # who brings nothing is shown the door
        "sign-in": (403, 403, 403, 403, 403, 403, 403),  # no key is a password
        "sign-out": (OK, 401, 401, 401, 401, OK, 401),
        "admin": (401, 401, 401, 401, 401, OK, 401),
    }.items()
}
"""Whom a route of the kind answers how. `own`: what it makes or lists is the caller's own; `thing`: one thing of the
owner; `model`: what no caller owns."""

_OPENAI = ("/openai", "/openai/v1", "/v1")
_SDK = ("/openai", "/openai/v1")


def _spread(lines: str, bases: tuple[str, ...] = ("",)) -> dict[tuple[str, str], str]:
    """From lines `kind: METHOD /path, METHOD /path` to (method, path) → kind, below each of `bases`."""
    table = {}
    for line in lines.strip().splitlines():
        kind, _, routes = line.strip().partition(": ")
        for route in routes.split(", "):
            method, _, path = route.partition(" ")
            table.update({(method, base + path): kind for base in bases})
    return table


TABLE: dict[tuple[str, str], str] = {
    **_spread(
        """
        open: GET /live, GET /ready, GET /health, HEAD /anthropic
        open: GET /openapi.json
        admin: GET /metrics
        open: GET /console/static/{name:str}, GET /console/login
        sign-in: POST /console/login
        console: GET /console, GET /console/jobs, GET /console/jobs/{job_id:str}
        console: POST /console/jobs/{job_id:str}/cancel, POST /console/jobs/{job_id:str}/retry
        console: GET /console/batches, GET /console/batches/{name:str}
        console: POST /console/batches/{name:str}/cancel, POST /console/batches/{name:str}/retry
        console: GET /console/files, POST /console/files/{name:str}/delete, GET /console/providers
        console: GET /console/keys, POST /console/keys, POST /console/keys/{name:str}/revoke
        console: GET /console/playground, POST /console/playground, GET /console/playground/{job_id:str}/events
        cached: DELETE /api/cache/clear/{entry_id:str}
        cache: DELETE /api/cache/clear-by-key/{key:path}
        console: GET /console/webhooks, GET /console/webhooks/{name:str}
        console: POST /console/webhooks/{name:str}/test, POST /console/webhooks/{name:str}/redeliver
        sign-out: POST /console/logout
        own: POST /anthropic/v1/messages, POST /anthropic/v1/messages/count_tokens
        model: GET /anthropic/v1/models, GET /anthropic/v1/models/{name:path}
        own: POST /anthropic/v1/files, GET /anthropic/v1/files
        thing: GET /anthropic/v1/files/{name:str}, DELETE /anthropic/v1/files/{name:str}
        thing: GET /anthropic/v1/files/{name:str}/content
        own: POST /anthropic/v1/messages/batches, GET /anthropic/v1/messages/batches
        thing: GET /anthropic/v1/messages/batches/{name:str}, DELETE /anthropic/v1/messages/batches/{name:str}
        thing: POST /anthropic/v1/messages/batches/{name:str}/cancel
        thing: POST /anthropic/v1/messages/batches/{name:str}/retry
        thing: GET /anthropic/v1/messages/batches/{name:str}/results
        model: GET /v1/models, GET /v1/models/{name:path}
        native: POST /v1/async/chat/completions, POST /v1/async/embeddings, POST /v1/async/responses
        native thing: GET /v1/async/chat/completions/{job_id:str}
        native thing: GET /v1/async/embeddings/{job_id:str}, GET /v1/async/responses/{job_id:str}
        own: GET /v1/jobs
        thing: GET /v1/jobs/{job_id:str}, GET /v1/jobs/{job_id:str}/events, POST /v1/jobs/{job_id:str}/cancel
        """
    ),
    **_spread("model: GET /models, GET /models/{name:path}", _SDK),
    **_spread(
        """
        own: POST /chat/completions, POST /embeddings, POST /responses, POST /responses/input_tokens
        thing: GET /responses/{name:str}, DELETE /responses/{name:str}
        thing: POST /responses/{name:str}/cancel, GET /responses/{name:str}/input_items
        own: POST /files, GET /files
        thing: GET /files/{name:str}, DELETE /files/{name:str}, GET /files/{name:str}/content
        own: POST /uploads
        thing: POST /uploads/{name:str}/parts, POST /uploads/{name:str}/complete, POST /uploads/{name:str}/cancel
        own: POST /batches, GET /batches
        thing: GET /batches/{name:str}, DELETE /batches/{name:str}
        thing: POST /batches/{name:str}/cancel, POST /batches/{name:str}/retry
        """,
        _OPENAI,
    ),
    **_spread(
        """
        admin: POST /virtual-keys, GET /virtual-keys, GET /virtual-keys/{name:str}, PATCH /virtual-keys/{name:str}
        admin: DELETE /virtual-keys/{name:str}, POST /virtual-keys/{name:str}/revoke
        admin: POST /teams, GET /teams, GET /teams/{name:str}, PATCH /teams/{name:str}, DELETE /teams/{name:str}
        admin: POST /customers, GET /customers, GET /customers/{name:str}, PATCH /customers/{name:str}
        admin: DELETE /customers/{name:str}
        """,
        ("/admin",),
    ),
    **_spread(
        """
        admin: POST, GET, GET /{name:str}, PATCH /{name:str}, PUT /{name:str}, DELETE /{name:str}
        admin: POST /{name:str}/rotate-secret, POST /{name:str}/test, GET /{name:str}/deliveries
        admin: GET /deliveries/{delivery:str}, POST /deliveries/{delivery:str}/redeliver
        """,
        ("/admin/webhooks", "/api/webhooks"),
    ),
}
