"""Bedrock's error answers, and the exceptions inside its streams, as our errors, with credentials redacted."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.errors import ProviderError, RateLimited
from shared.wire.bedrock_answer import Failure
from worker.providers.hints import FIRST_SERVER_ERROR, excerpt, is_unpaid, kind_of, made, safe

_STATUS_OF: dict[str, int] = {
    "validation": 400,
    "accessdenied": 403,
    "expiredtoken": 403,
    "incompletesignature": 403,
    "invalidsignature": 403,
    "missingauthenticationtoken": 403,
    "unrecognizedclient": 403,
    "resourcenotfound": 404,
    "modeltimeout": 408,
    "modelnotready": 429,
    "servicequotaexceeded": 429,
    "throttling": 429,
    "internalserver": 500,
    "modelerror": 500,
    "modelstreamerror": 500,
    "serviceunavailable": 503,
}
"""What an exception means, by its lower-case name without `Exception`. Some come with a status that means otherwise
elsewhere: 424 for a model that broke, 400 for a quota or a signature."""

_USED_UP = "servicequotaexceeded"
_OF_THE_DAY, _OF_THE_DAY_S = "tokens per day", 600.0
"""Words of a throttling that patience of seconds does not end; when the day ends AWS says nowhere, so it is tried."""
_ERROR_TYPE = "x-amzn-errortype"

_FAILURE = msgspec.json.Decoder(Failure)


def error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """An answer with status ≥ 400 as an error. `headers` are looked up in lower case."""
    failure = _read(body)
    return _made(provider, status, headers.get(_ERROR_TYPE) or failure.kind or "", headers, failure)


def stream_error(provider: str, kind: str, data: bytes) -> ProviderError:
    """An exception in a stream as the error its `kind` stands for; an empty one is looked up in the data."""
    failure = _read(data)
    name = kind or failure.kind or ""
    return _made(provider, _STATUS_OF.get(_short(name), FIRST_SERVER_ERROR), name, {}, failure)


def _made(provider: str, status: int, name: str, headers: Mapping[str, str], failure: Failure) -> ProviderError:
    short = _short(name)
    kind = kind_of(_STATUS_OF.get(short, status))
    said = safe(failure.message or failure.text or "")
    unpaid = kind is RateLimited and (is_unpaid(status) or short == _USED_UP)
    wait_s = _OF_THE_DAY_S if _OF_THE_DAY in said else None
    named = _bare(name) or None
    return made(kind, provider, status, headers, said, unpaid=unpaid, wait_s=wait_s, upstream_type=named)


def _read(body: bytes) -> Failure:
    try:
        return _FAILURE.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Failure(message=excerpt(body))


def _bare(name: str) -> str:
    """The name in `ValidationException:http://…`, as the header has it, or `com.amazon…#ValidationException`."""
    return name.partition(":")[0].rpartition("#")[2]


def _short(name: str) -> str:
    return _bare(name).lower().removesuffix("exception")
