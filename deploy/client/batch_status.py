"""A batch of either surface as one Status, and where its routes are. Pure."""

from __future__ import annotations

import re
from typing import Any

import click
import msgspec

from api.times import rfc3339

ANTHROPIC, OPENAI = "/anthropic/v1/messages/batches", "/v1/batches"
"""The paths of the surfaces' batches."""

_ID = re.compile(r"(?:msg)?batch_[0-9A-Za-z]+")
_OPENAI_FINAL = ("completed", "failed", "expired", "cancelled")


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What both surfaces say of a batch, in one form.

    Attributes:
        id: as shown.
        state: the surface's own word.
        ended: nothing changes any more.
        cancelled: somebody asked for its end.
        created: RFC 3339, as all times.
        finished: None before it has ended.
        endpoint: empty on the Anthropic surface.
        retry_of: the batch whose failed requests these are, None for none.
        cost: in dollars, of the requests whose cost is known; None when there is none.
        saved: of them by providers' batch APIs.
        unpriced: requests whose cost is not known.
        native: requests that ran at a provider's own batch API.
        tokens: of requests and answers.
    """

    id: str
    state: str
    ended: bool
    cancelled: bool
    created: str
    expires: str
    finished: str | None
    endpoint: str = ""
    retry_of: str | None
    total: int
    succeeded: int
    errored: int
    canceled: int
    expired: int
    cost: float | None = None
    saved: float = 0.0
    unpriced: int = 0
    native: int = 0
    tokens: int = 0

    @property
    def done(self) -> int:
        """Requests that have ended."""
        return self.succeeded + self.errored + self.canceled + self.expired

    @property
    def all_succeeded(self) -> bool:
        """The best end."""
        return self.ended and self.succeeded == self.total

    @property
    def counts(self) -> str:
        """`98 succeeded, 2 errored`."""
        named = [("errored", self.errored), ("canceled", self.canceled), ("expired", self.expired)]
        return ", ".join([f"{self.succeeded} succeeded", *(f"{count} {name}" for name, count in named if count)])

    @property
    def price(self) -> str | None:
        """`$0.0120, saved $0.0120, 2 requests of unknown cost`; None when nothing is known."""
        if self.cost is None:
            return f"unknown ({self.unpriced} requests)" if self.unpriced else None
        saved = [f"saved ${self.saved:.4f}"] if self.saved else []
        unknown = [f"{self.unpriced} requests of unknown cost"] if self.unpriced else []
        return ", ".join([f"${self.cost:.4f}", *saved, *unknown])


def path_of(batch_id: str) -> str:
    """The path of a batch: its id tells the surface. Raises click.BadParameter."""
    if not _ID.fullmatch(batch_id):
        raise click.BadParameter("expected msgbatch_… or batch_….", param_hint="BATCH_ID")
    return f"{ANTHROPIC if batch_id.startswith('msg') else OPENAI}/{batch_id}"


def status_of(batch: dict[str, Any]) -> Status:
    """The Status of what a gateway answered."""
    return _anthropic(batch) if batch["id"].startswith("msg") else _openai(batch)


def _anthropic(batch: dict[str, Any]) -> Status:
    counts = batch["request_counts"]
    return Status(
        id=batch["id"],
        state=batch["processing_status"],
        ended=batch["processing_status"] == "ended",
        cancelled=batch["cancel_initiated_at"] is not None,
        created=batch["created_at"],
        expires=batch["expires_at"],
        finished=batch["ended_at"],
        retry_of=batch.get("retry_of"),
        total=sum(counts.values()),
        succeeded=counts["succeeded"],
        errored=counts["errored"],
        canceled=counts["canceled"],
        expired=counts["expired"],
        **_spent(batch),
    )


def _openai(batch: dict[str, Any]) -> Status:
    counts = batch["request_counts"]
    return Status(
        id=batch["id"],
        state=batch["status"],
        ended=batch["status"] in _OPENAI_FINAL,
        cancelled=batch["cancelling_at"] is not None,
        created=rfc3339(batch["created_at"] * 1000),
        expires=rfc3339(batch["expires_at"] * 1000),
        finished=next((rfc3339(at * 1000) for state in _OPENAI_FINAL if (at := batch[f"{state}_at"])), None),
        endpoint=batch["endpoint"],
        retry_of=batch.get("retry_of"),
        total=counts["total"],
        succeeded=counts["completed"],
        errored=counts["failed"],
        canceled=counts.get("canceled", 0),
        expired=counts.get("expired", 0),
        **_spent(batch),
    )


def _spent(batch: dict[str, Any]) -> dict[str, Any]:
    """What has been spent, unless the gateway is one that does not tell, or nothing has succeeded yet."""
    spent = batch.get("spent") or {}
    if not spent.get("native") and not spent.get("direct"):
        return {}
    return {
        "cost": spent["cost_usd"],
        "saved": spent["saved_usd"] or 0.0,
        "unpriced": spent["unpriced"],
        "native": spent["native"],
        "tokens": spent["usage"]["total_tokens"],
    }
