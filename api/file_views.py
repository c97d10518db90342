"""Files as each surface shows them, and what the queries of a listing and a range may ask for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from api.times import rfc3339
from shared.errors import InvalidRequest, Unsatisfiable
from shared.files import File
from shared.ids import named, uuid_of
from shared.paging import page_size

ANTHROPIC_DEFAULT, ANTHROPIC_MOST = 20, 1000
OPENAI_DEFAULT = OPENAI_MOST = 10_000
"""The vendors' documented page sizes."""
MOST_IDS = 100
PAGE_PREFIX = "page_"

_RANGE = re.compile(r"bytes *= *([0-9]{0,18}) *- *([0-9]{0,18})", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]|%")
"""What a quoted string cannot hold in every client's opinion."""


class Page(msgspec.Struct, frozen=True):
    """Which files a listing shows.

    Attributes:
        limit: at most so many.
        cursor: UUID of the file they follow; empty to begin.
        newest_first: the order in which they follow it.
        named_by: the parameter that named the cursor.
        purpose: only files of that purpose; empty for all.
    """

    limit: int
    cursor: str = ""
    newest_first: bool = True
    named_by: str = ""
    purpose: str = ""


# --- Anthropic ---------------------------------------------------------------------------------------------


def anthropic_file(file: File) -> dict[str, Any]:
    """What both generations of the SDK read; `size` is what Bifrost's documentation reads."""
    return {
        "id": named("file_", file.id),
        "type": "file",
        "filename": file.filename,
        "mime_type": file.mime_type,
        "size_bytes": file.size,
        "size": file.size,
        "created_at": rfc3339(file.created_ms),
        "downloadable": True,
        "expires_at": None if file.expires_ms is None else rfc3339(file.expires_ms),
    }


def anthropic_ids(ids: list[str], query: Mapping[str, str]) -> list[str]:
    """The UUIDs of the files asked for by their ids. Raises InvalidRequest for too many, or beside a page."""
    unlike = [name for name in ("limit", "page", "after_id", "before_id") if name in query]
    if unlike:
        raise InvalidRequest(f"ids: not possible together with {unlike[0]}; leave one out.", param="ids")
    uuids = list(dict.fromkeys(map(uuid_of, ids)))
    if len(uuids) > MOST_IDS:
        raise InvalidRequest(f"ids: at most {MOST_IDS}, got {len(uuids)}.", param="ids")
    return uuids


def anthropic_query(query: Mapping[str, str]) -> Page:
    """`limit` and at most one of `page` (newest SDKs), `after_id`, `before_id` (older ones). Raises InvalidRequest."""
    if "scope_id" in query:
        raise InvalidRequest("scope_id: no file of this gateway has a scope; leave it out.", param="scope_id")
    limit = page_size(query.get("limit"), usual=ANTHROPIC_DEFAULT, most=ANTHROPIC_MOST)
    given = [name for name in ("page", "after_id", "before_id") if query.get(name)]
    if not given:
        return Page(limit)
    if len(given) > 1:
        raise InvalidRequest(f"{given[1]}: not possible together with {given[0]}; leave one out.", param=given[1])
    [name] = given
    if name == "page" and not query[name].startswith(PAGE_PREFIX):
        raise InvalidRequest("page: expected the `next_page` of an earlier page.", param="page")
    return Page(limit, uuid_of(query[name]), newest_first=name != "before_id", named_by=name)


def anthropic_list(found: list[File], page: Page) -> bytes:
    """One page for both generations of the SDK; `found` holds one more than the limit when there is more."""
    shown, more = found[: page.limit], len(found) > page.limit
    if not page.newest_first:
        shown.reverse()
    data = [anthropic_file(file) for file in shown]
    goes_on = more and page.newest_first
    return msgspec.json.encode(
        {**_ends(data, more), "next_page": named(PAGE_PREFIX, shown[-1].id) if goes_on else None}
    )


# --- OpenAI ------------------------------------------------------------------------------------------------


def openai_file(file: File) -> dict[str, Any]:
    """OpenAI's file object; `status` is long deprecated, but its SDKs wait for it."""
    return {
        "id": named("file-", file.id),
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_ms // 1000,
        "expires_at": None if file.expires_ms is None else file.expires_ms // 1000,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def openai_query(query: Mapping[str, str]) -> Page:
    """`limit`, `after`, `order`, `purpose`. Raises InvalidRequest."""
    order, after = query.get("order", "desc"), query.get("after", "")
    if order not in {"asc", "desc"}:
        raise InvalidRequest(f"order: expected `asc` or `desc`, got {order[:40]!r}.", param="order")
    return Page(
        page_size(query.get("limit"), usual=OPENAI_DEFAULT, most=OPENAI_MOST),
        uuid_of(after) if after else "",
        newest_first=order == "desc",
        named_by="after",
        purpose=query.get("purpose", ""),
    )


def openai_list(found: list[File], page: Page) -> bytes:
    """One page of `{object: list, data, first_id, last_id, has_more}`; `found` as for `anthropic_list`."""
    data = [openai_file(file) for file in found[: page.limit]]
    return msgspec.json.encode({"object": "list", **_ends(data, len(found) > page.limit)})


# --- content -----------------------------------------------------------------------------------------------


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length of the one range asked for; None for the whole.

    What is malformed, or asks for several ranges, is as if it were not there (RFC 9110, section 14.2). Raises
    Unsatisfiable.
    """
    match = _RANGE.fullmatch((header or "").strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= min(end, size):
        raise Unsatisfiable(size)
    return start, end - start


def attachment(filename: str) -> str:
    """The content-disposition: never shown as a page of the gateway's origin (RFC 6266)."""
    plain = _NOT_PLAIN.sub("_", filename)
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


def _ends(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": more, "first_id": first, "last_id": last}
