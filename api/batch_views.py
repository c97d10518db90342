"""Batches as each surface shows them, and what the query of a listing may ask for. Pure.

Counts move while a batch runs and always sum to its total. The words for its states are OpenAI's own; Anthropic's are
fewer. A cancelled batch is `cancelling` until it has ended, whatever is still being done to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.times import rfc3339
from shared.batches import BatchState, Progress, Spent, named_after
from shared.errors import InvalidRequest
from shared.ids import named
from shared.paging import page_size
from shared.prices import dollars

DEFAULT_PAGE = 20
ANTHROPIC_PAGE, OPENAI_PAGE = 1000, 100
"""The vendors' documented page sizes."""


class Page(msgspec.Struct, frozen=True):
    """Which batches a listing shows: at most `limit`, next to the one that `cursor` names if it is not empty.

    Attributes:
        cursor: as the client named it.
        named_by: the parameter that did.
        newer: those just before it; else those after it. Newest first in either case.
    """

    limit: int
    cursor: str = ""
    named_by: str = ""
    newer: bool = False


def read_page(query: Mapping[str, str], *, most: int, after: str, before: str = "") -> Page:
    """The query of a listing: `limit` up to `most`, and one of the parameters called `after` and `before`.

    Raises:
        InvalidRequest: naming the parameter.
    """
    limit = page_size(query.get("limit"), usual=DEFAULT_PAGE, most=most)
    given = [name for name in (after, before) if query.get(name)]
    if len(given) > 1:
        raise InvalidRequest(f"{before}: not possible together with {after}; leave one out.", param=before)
    for name in given:
        return Page(limit, query[name], name, newer=name == before)
    return Page(limit)


def _shown(rows: list[Progress], page: Page) -> list[Progress]:
    """The page out of what was found, which is one row more when there is more: the one furthest from the cursor."""
    return rows[-page.limit :] if page.newer else rows[: page.limit]


# --- Anthropic ---------------------------------------------------------------------------------------------


def anthropic_id(batch_id: str) -> str:
    """`msgbatch_…`."""
    return named("msgbatch_", batch_id)


def anthropic_batch(progress: Progress, public_url: str | None) -> dict[str, Any]:
    """https://docs.claude.com/en/api/retrieving-message-batches, and `retry_of` and `spent`.

    The URL of the results is root-relative unless the gateway's own is known: SDKs send their key where it points.
    """
    batch, counts, shown = progress.batch, progress.counts, anthropic_id(progress.batch.id)
    base = f"{public_url}/anthropic" if public_url else ""
    return {
        "id": shown,
        "type": "message_batch",
        "processing_status": _processing_status(progress),
        "request_counts": {
            "processing": batch.total - counts.ended,
            "succeeded": counts.succeeded,
            "errored": counts.errored,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
        "created_at": rfc3339(batch.created_ms),
        "expires_at": rfc3339(batch.expires_ms),
        "ended_at": _time(progress.ended_ms),
        "cancel_initiated_at": _time(progress.cancelling_ms),
        "archived_at": None,
        "results_url": f"{base}/v1/messages/batches/{shown}/results" if progress.state.final else None,
        "retry_of": anthropic_id(batch.retry_of) if batch.retry_of else None,
        "spent": _spent(progress.spent),
    }


def anthropic_list(rows: list[Progress], page: Page, public_url: str | None) -> bytes:
    """One page of `{data, has_more, first_id, last_id}`."""
    return _list([anthropic_batch(row, public_url) for row in _shown(rows, page)], len(rows) > page.limit)


def _processing_status(progress: Progress) -> str:
    if progress.state.final:
        return "ended"
    return "in_progress" if progress.cancelling_ms is None else "canceling"


def _time(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else rfc3339(unix_ms)


# --- OpenAI ------------------------------------------------------------------------------------------------


def openai_id(batch_id: str) -> str:
    """`batch_…`."""
    return named("batch_", batch_id)


def openai_batch(progress: Progress) -> dict[str, Any]:
    """https://platform.openai.com/docs/api-reference/batch/object, and `retry_of` and `spent`.

    `failed` are the errored ones; what was cancelled or expired, and what is still processed, is counted beside.
    """
    batch, counts, state = progress.batch, progress.counts, progress.state
    if progress.cancelling_ms is not None and not state.final:
        state = BatchState.CANCELLING
    ended = {
        f"{final.value}_at": _seconds(progress.ended_ms) if state is final else None
        for final in (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)
    }
    return {
        "id": openai_id(batch.id),
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": None,
        "errors": None,
        "input_file_id": _file(batch.input_file) or "",
        "completion_window": "24h",
        "status": state,
        "output_file_id": _file(progress.output_file) or _partial(progress),
        "error_file_id": _file(progress.error_file),
        "created_at": _seconds(batch.created_ms),
        "in_progress_at": _seconds(progress.started_ms),
        "expires_at": _seconds(batch.expires_ms),
        "finalizing_at": _seconds(progress.finalizing_ms),
        "cancelling_at": _seconds(progress.cancelling_ms),
        **ended,
        "request_counts": {
            "total": batch.total,
            "completed": counts.succeeded,
            "failed": counts.errored,
            "canceled": counts.canceled,
            "expired": counts.expired,
            "processing": batch.total - counts.ended,
        },
        "metadata": batch.metadata or None,
        "usage": _usage(progress.spent) if progress.spent.input or progress.spent.output else None,
        "retry_of": openai_id(batch.retry_of) if batch.retry_of else None,
        "spent": _spent(progress.spent),
    }


def openai_list(rows: list[Progress], page: Page) -> bytes:
    """One page of `{object: list, data, first_id, last_id, has_more}`."""
    data = [openai_batch(row) for row in _shown(rows, page)]
    return _list(data, len(rows) > page.limit, object="list")


def _partial(progress: Progress) -> str | None:
    """The file of the results while they are still coming: what has ended can be read from it."""
    running = not progress.state.final and progress.counts.succeeded
    return _file(named_after(progress.batch.id, "output")) if running else None


def _file(file_id: str) -> str | None:
    return named("file-", file_id) if file_id else None


def _seconds(unix_ms: int | None) -> int | None:
    return None if unix_ms is None else unix_ms // 1000


def _list(data: list[dict[str, Any]], more: bool, **facts: str) -> bytes:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return msgspec.json.encode({**facts, "data": data, "has_more": more, "first_id": first, "last_id": last})


# --- both --------------------------------------------------------------------------------------------------


def _spent(spent: Spent) -> dict[str, Any]:
    """What the requests that succeeded have cost so far, in US dollars.

    `native` of them ran at a provider's own batch API, for `saved_usd` less; `direct` did not. Of `unpriced` ones the
    cost is not known and not in the sum, which is null when it would be of none.
    """
    priced = spent.native + spent.direct - spent.unpriced
    known = priced > 0 or not spent.unpriced
    return {
        "cost_usd": dollars(spent.cost) if known else None,
        "saved_usd": dollars(spent.saved) if known else None,
        "unpriced": spent.unpriced,
        "native": spent.native,
        "direct": spent.direct,
        "usage": _usage(spent),
    }


def _usage(spent: Spent) -> dict[str, Any]:
    """Tokens, in OpenAI's words."""
    return {
        "input_tokens": spent.input,
        "input_tokens_details": {"cached_tokens": spent.cached},
        "output_tokens": spent.output,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning},
        "total_tokens": spent.input + spent.output,
    }
