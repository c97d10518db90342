"""Google's error answers as our errors, with credentials redacted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from shared.errors import AuthFailed, ProviderError
from shared.wire import gemini_answer as answer
from worker.providers.gemini.quotas import quotas_of, wait_s
from worker.providers.hints import (
    FIRST_SERVER_ERROR,
    NO_CREDIT,
    excerpt,
    is_unpaid,
    kind_of,
    retry_after_s,
    safe,
    should_retry,
)

_FIRST_ERROR = 400
_LAST_ERROR = 599

_BAD_KEY = re.compile(r"API_KEY_(?:INVALID|EXPIRED)|API key (?:not valid|expired)")
"""The reason, or the words, of a 400 that is about the key and not about the request."""

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
    unpaid = is_unpaid(status)
    told_s = retry_after_s(headers)
    error = kind(
        f"{provider} refused the gateway's credential: {said}" if kind is AuthFailed else said,
        provider=provider,
        upstream_status=status,
        upstream_type=found.status,
        code=NO_CREDIT if unpaid else None,
        retry_after_s=wait_s(details, said, headers) if told_s is None else told_s,
        should_retry=False if unpaid else should_retry(headers),
    )
    error.quotas = quotas_of(details)
    return error


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
