"""Webhook endpoints and what was delivered to them, as the administration shows them. A secret is shown once."""

from __future__ import annotations

from typing import Any

from api.times import rfc3339
from shared.job_index import Standing
from shared.jobs import Attempt, Outcome, State
from shared.masked import MASK
from shared.webhook_events import Event
from shared.webhook_settings import WebhookSettings

_STATUS = {
    State.QUEUED: "pending",
    State.RUNNING: "delivering",
    State.SUCCEEDED: "delivered",
    State.FAILED: "failed",
    State.CANCELLED: "not_sent",
}
"""The last: its endpoint is no longer told of such events."""


def webhook_view(
    endpoint: WebhookSettings, *, configured: bool, gone_ms: int | None, secret: str = ""
) -> dict[str, Any]:
    """An endpoint; `secret` at its creation and rotation, and never again."""
    return {
        "id": endpoint.name,
        "object": "webhook",
        "name": endpoint.name,
        "url": endpoint.url,
        **({"secret": secret} if secret else {}),
        "events": endpoint.events,
        "headers": dict.fromkeys(endpoint.headers, MASK),
        "include_response": endpoint.include_response,
        "allow_private_network": endpoint.allow_private_network,
        "disabled": endpoint.disabled or gone_ms is not None,
        "gone_at": None if gone_ms is None else rfc3339(gone_ms),
        "has_previous_secret": bool(endpoint.previous_secret),
        "source": "config" if configured else "admin",
    }


def delivery_view(standing: Standing, event: Event) -> dict[str, Any]:
    """A delivery; `standing` is its job's, with `waiting` and `outcome` if there are any."""
    due_ms = standing.waiting.due_ms if standing.waiting else None
    pending = standing.state is State.QUEUED
    return {
        "id": standing.job.id,
        "object": "webhook.delivery",
        "webhook": standing.job.model,
        "event_id": event.id,
        "event": event.names[0],
        "type": event.names[1],
        "subject": event.subject,
        "status": _STATUS.get(standing.state, "failed"),
        "created_at": rfc3339(standing.job.created_ms),
        "ended_at": None if standing.ended_ms is None else rfc3339(standing.ended_ms),
        "next_attempt_at": rfc3339(due_ms or standing.job.created_ms) if pending else None,
        "attempts": [_attempt_view(attempt, standing.outcome) for attempt in standing.attempts],
    }


def _attempt_view(attempt: Attempt, outcome: Outcome | None) -> dict[str, Any]:
    """One try; the endpoint's status is that of the failure, or of the delivery's outcome where it went well."""
    failure = attempt.failure
    return {
        "number": attempt.number,
        "started_at": rfc3339(attempt.started_ms),
        "latency_ms": attempt.ended_ms - attempt.started_ms,
        "status_code": failure.upstream_status if failure else outcome and outcome.status,
        "error": failure.message if failure else None,
    }
