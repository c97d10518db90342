"""The console's pages: Jinja templates, everything escaped, and how they write times, sizes and money."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar.response.base import ASGIResponse

from api.admin_door import session_of
from api.console.assets import VERSION
from api.submit import AnyRequest
from api.times import rfc3339
from shared.batches import Spent
from shared.ids import now_ms
from shared.prices import NANO

HOME = "/console"
PAGES = (
    (HOME, "Overview"),
    (f"{HOME}/jobs", "Jobs"),
    (f"{HOME}/batches", "Batches"),
    (f"{HOME}/files", "Files"),
    (f"{HOME}/providers", "Providers"),
    (f"{HOME}/keys", "Keys"),
    (f"{HOME}/webhooks", "Webhooks"),
    (f"{HOME}/playground", "Playground"),
)
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
_FAST_MS = 10_000
_PERIODS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "M": "month",
    "Q": "quarter",
    "Y": "year",
}


def page(request: AnyRequest, template: str, **facts: Any) -> ASGIResponse:
    """The page as an answer."""
    return ASGIResponse(body=html(request, template, **facts), media_type="text/html; charset=utf-8")


def html(request: AnyRequest, template: str, **facts: Any) -> bytes:
    """The page."""
    session = session_of(request)
    at = request.url.path.rstrip("/")
    text = _ENVIRONMENT.get_template(template).render(
        facts,
        csrf=session.csrf if session else "",
        here=next((path for path, _ in reversed(PAGES) if at == path or at.startswith(f"{path}/")), ""),
        now=now_ms(),
        url=request.url.path,
        query=request.url.query,
    )
    return text.encode()


def see_other(path: str) -> ASGIResponse:
    """Go there by GET; what a URL cannot hold as it is, is quoted."""
    return ASGIResponse(
        body=b"", status_code=303, media_type="text/html", headers={"location": quote(path, safe="/?=&%:+,;@~!$'()*")}
    )


def query(**values: str | None) -> str:
    """`?…` of those that are not empty."""
    given = {name: value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""


def ago(unix_ms: int | None, now: int) -> str:
    """How long ago, or in how long, in whole units."""
    if unix_ms is None:
        return ""
    seconds = abs(now - unix_ms) // 1000
    if not seconds:
        return "just now" if unix_ms <= now else "now"
    length = span(seconds * 1000).replace(".0", "")
    return f"{length} ago" if unix_ms < now else f"in {length}"


def unix_ms(rfc3339_text: str | None) -> int | None:
    """A time as the administration's API writes it."""
    return None if rfc3339_text is None else round(datetime.fromisoformat(rfc3339_text).timestamp() * 1000)


def period(text: str) -> str:
    """A span of a budget or rate limit, `1M` or `30d`, in words."""
    number, unit = text[:-1], _PERIODS.get(text[-1:], "")
    if not (unit and number.isdigit()):
        return text
    return unit if number == "1" else f"{number} {unit}s"


def span(ms: float | None) -> str:
    """A length of time, in one unit or two figures."""
    if ms is None:
        return "-"
    if ms < 1000:  # noqa: PLR2004 - below a second
        return f"{ms:.0f} ms"
    if ms < _FAST_MS:
        return f"{ms / 1000:.1f} s"
    for size, unit in _UNITS:
        if ms >= 2 * size or unit == "s":
            return f"{ms / size:.0f} {unit}"
    return ""


def dollars(nano: int | None) -> str:
    """Money in cents, less than a cent with the two digits that say something; `?` when it is not known."""
    if nano is None:
        return "?"
    usd = nano / NANO
    digits = 2 if not nano or usd >= 0.1 else 1 - math.floor(math.log10(usd))  # noqa: PLR2004 - ten cents
    return f"${usd:,.{digits}f}"


def spent(spent: Spent) -> str:
    """What a batch has cost; `?` while nothing of it has a known price."""
    return dollars(spent.cost if _has_price(spent) else None)


def saved(spent: Spent) -> str:
    """What the providers' batch APIs have saved of it; `?` as for the cost, `-` where nothing went there."""
    return dollars(spent.saved if _has_price(spent) else None) if spent.native else "-"


def _has_price(spent: Spent) -> bool:
    return spent.native + spent.direct > spent.unpriced or not spent.unpriced


def size(count: int) -> str:
    """Bytes."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004 - SI
            return f"{count:.3g} {unit}" if unit != "B" else f"{count} B"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"


def short(job_id: str) -> str:
    """The beginning of an id, enough to tell two apart by eye."""
    return job_id[:8]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "unix_ms": unix_ms,
        "period": period,
        "span": span,
        "dollars": dollars,
        "spent": spent,
        "saved": saved,
        "size": size,
        "short": short,
        "rfc3339": rfc3339,
        "number": "{:,}".format,
    }
    environment.globals |= {"pages": PAGES, "home": HOME, "version": VERSION, "make_query": query}
    return environment


_ENVIRONMENT = _environment()
