"""Google's error answers as our errors, with credentials redacted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from shared.errors import AuthFailed, ProviderError
from shared.wire import gemini_answer as answer
from worker.providers.gemini.quotas import quotas_of, wait_s
from worker.providers.hints import FIRST_SERVER_ERROR, excerpt, is_unpaid, kind_of, made, safe

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
    said, kind = safe(found.message or ""), kind_of(status)
    if status == _FIRST_ERROR and _BAD_KEY.search(" ".join([said, *(detail.reason or "" for detail in details)])):
        kind = AuthFailed
    later_s = wait_s(details, said, headers)
    unpaid = is_unpaid(status)
    error = made(kind, provider, status, headers, said, unpaid=unpaid, wait_s=later_s, upstream_type=found.status)
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
