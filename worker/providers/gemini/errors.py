"""Google's error answers as our errors, with credentials redacted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from shared.errors import AuthFailed, ProviderError
from shared.wire import gemini_answer as answer
from worker.providers.hints import FIRST_SERVER_ERROR, excerpt, kind_of, retry_after_s, safe, should_retry

_FIRST_ERROR = 400
_LAST_ERROR = 599

_BAD_KEY = re.compile(r"API_KEY_(?:INVALID|EXPIRED)|API key (?:not valid|expired)")
"""The reason, or the words, of a 400 that is about the key and not about the request."""
_DELAY = re.compile(r"(\d{1,6}(?:\.\d+)?)s")
"""A google.protobuf.Duration as JSON."""
_LONG_GONE = "PerDay"
"""Part of the id of a quota that no patience brings back, whatever delay is given with it."""

_REFUSED = msgspec.json.Decoder(answer.Refused)
_LIST = msgspec.json.Decoder(list[Raw])
_STATUS = msgspec.json.Decoder(answer.Status)
_DETAIL = msgspec.json.Decoder(answer.Detail)
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)


def error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """An answer with status ≥ 400 as an error. `headers` are looked up in lower case."""
    return _made(provider, status, headers, _said(body))


def stream_error(provider: str, raw: Raw) -> ProviderError:
    """The `error` of an answer or a chunk under status 200, as the error its code stands for."""
    try:
        found = _STATUS.decode(raw)
    except _UNREADABLE:
        found = answer.Status()
    code = found.code or 0
    return _made(provider, code if _FIRST_ERROR <= code <= _LAST_ERROR else FIRST_SERVER_ERROR, {}, found)


def _made(provider: str, status: int, headers: Mapping[str, str], found: answer.Status) -> ProviderError:
    details = list(_details(found.details or ()))
    said = safe(found.message or "") or f"{provider} answered with status {status} and no message."
    kind = kind_of(status)
    if status == _FIRST_ERROR and _BAD_KEY.search(" ".join([said, *(detail.reason or "" for detail in details)])):
        kind = AuthFailed
    gone = any(_LONG_GONE in (each.quota_id or "") for detail in details for each in detail.violations or ())
    wait_s = retry_after_s(headers)
    return kind(
        f"{provider} refused the gateway's credential: {said}" if kind is AuthFailed else said,
        provider=provider,
        upstream_status=status,
        upstream_type=found.status,
        retry_after_s=_delay_s(details) if wait_s is None else wait_s,
        should_retry=False if gone else should_retry(headers),
    )


def _said(body: bytes) -> answer.Status:
    """What Google said; an unfinished stream of the older kind has it in a list. Proxies say it in plain text."""
    try:
        items = _LIST.decode(body) if body.lstrip().startswith(b"[") else []
        return _REFUSED.decode(items[0] if items else body).error or answer.Status()
    except _UNREADABLE:
        return answer.Status(message=excerpt(body))


def _details(raws: list[Raw] | tuple[()]) -> Iterator[answer.Detail]:
    for raw in raws:
        try:
            yield _DETAIL.decode(raw)
        except _UNREADABLE:
            continue


def _delay_s(details: list[answer.Detail]) -> float | None:
    """The `retryDelay` of a google.rpc.RetryInfo, in seconds."""
    found = next((match for each in details if (match := _DELAY.fullmatch(each.retry_delay or ""))), None)
    return float(found[1]) if found else None
