"""The one tree of errors.

GatewayError
├── CallerError            the caller must change something; never retried
│   ├── InvalidRequest     400
│   ├── Unsupported        400  the chosen provider cannot express a field
│   ├── NotAuthenticated   401
│   ├── BudgetExceeded     402
│   ├── NotPermitted       403
│   ├── NotFound           404
│   ├── Conflict           409
│   ├── TooLarge           413
│   ├── Encoded            415  a body in an encoding that is not read here
│   ├── Unsatisfiable      416  a range beyond a file's end
│   ├── LimitExceeded      429
│   └── Cancelled          499
├── ProviderError          carries provider, upstream status, retry-after
│   ├── Rejected           the upstream's own 4xx
│   ├── AuthFailed         502  our credential is bad at the provider
│   ├── RateLimited        429
│   ├── Overloaded         529
│   ├── ServerError        the upstream's own 5xx
│   ├── Unreachable        502  no connection, or it broke
│   ├── TimedOut           504
│   └── Garbled            502  an answer we cannot read
├── Stalled                408  the client has stopped sending; SDKs try again
├── Expired                504  the job's deadline passed before it could be run
└── StoreError             503  Redis or the object store is down

Errors hold facts. Whether to try again is decided in `worker/retry.py`, the body is rendered by a dialect,
the HTTP response is made in `api/errors.py`; jobs keep them as `shared/failures.py` packs them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec


class GatewayError(Exception):
    """A failure a client is told about.

    Attributes:
        status: HTTP status shown to the client.
        message: what was wrong, where, and what to do; never holds a credential or a prompt.
        param: path of the offending field, as in `messages.0.content`, or a header name.
        code: stable machine-readable reason, e.g. `model_not_found`.
        retry_after_s: seconds after which a retry makes sense.
        should_retry: sent as `x-should-retry` when the SDK's own guess would be wrong.
    """

    status = 500

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry

    def headers(self) -> dict[str, str]:
        """Response headers: `retry-after` (whole seconds, rounded up) and `x-should-retry`, where known."""
        headers = {}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after_s))
        if self.should_retry is not None:
            headers["x-should-retry"] = str(self.should_retry).lower()
        return headers


class CallerError(GatewayError):
    """The caller must change something; a retry of the same request fails again."""

    status = 400


class InvalidRequest(CallerError):
    """400: malformed JSON, a missing or wrong field, a bad header."""


class Unsupported(CallerError):
    """400: the chosen provider cannot express this field (nothing is dropped in silence)."""


class NotAuthenticated(CallerError):
    """401: no virtual key, or an unknown one."""

    status = 401


class BudgetExceeded(CallerError):
    """402: a budget of the key's hierarchy is used up."""

    status = 402


class NotPermitted(CallerError):
    """403: the key may not use this provider or model."""

    status = 403


class NotFound(CallerError):
    """404: no such object, or it belongs to another caller."""

    status = 404


class Conflict(CallerError):
    """409: the same idempotency key with another body, or a state that forbids the action."""

    status = 409


class TooLarge(CallerError):
    """413: the body is over the limit."""

    status = 413


class Encoded(CallerError):
    """415: the body has a Content-Encoding."""

    status = 415

    def __init__(self, message: str) -> None:
        super().__init__(message, param="Content-Encoding", code="unsupported_content_encoding")


class Unsatisfiable(CallerError):
    """416: the range lies beyond the file's end (RFC 9110, section 15.5.17)."""

    status = 416

    def __init__(self, size: int) -> None:
        super().__init__(f"Range: the file has {size} bytes.", param="Range", code="range_not_satisfiable")
        self._size = size

    def headers(self) -> dict[str, str]:
        """What there is."""
        return {**super().headers(), "content-range": f"bytes */{self._size}"}


class LimitExceeded(CallerError):
    """429: a limit of the gateway's own, not the provider's."""

    status = 429


class Cancelled(CallerError):
    """499: the job was cancelled; what the Anthropic SDK calls ClientClosedRequestError, and neither SDK retries."""

    status = 499


NO_CREDIT = "insufficient_quota"
"""Code, in OpenAI's word, where nothing is left to spend: of the gateway's account at a provider, or of a budget."""


class Quota(NamedTuple):
    """A limit a minute that a provider says is used up; `kind` of its units: `requests`, or `input` tokens."""

    kind: str
    limit: int


class ProviderError(GatewayError):
    """The provider failed or refused.

    Attributes:
        provider: catalog name of the provider.
        upstream_status: HTTP status the provider answered with, None when it did not answer.
        upstream_type: the provider's own error type, e.g. `invalid_request_error`.
        details: the provider's structured details (Anthropic's `error.details`), untouched.
        sent: False when it is certain that no byte of the request reached the provider, so that asking again cannot
            be paid for twice; True when it may have.
        quotas: what a 429's body says is used up, where it says that.
    """

    status = 502
    quotas: tuple[Quota, ...] = ()

    def __init__(  # noqa: PLR0913 - facts, all by keyword
        self,
        message: str,
        *,
        provider: str,
        upstream_status: int | None = None,
        upstream_type: str | None = None,
        details: msgspec.Raw | None = None,
        sent: bool = True,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code, retry_after_s=retry_after_s, should_retry=should_retry)
        self.provider = provider
        self.sent = sent
        self.upstream_status = upstream_status
        self.upstream_type = upstream_type
        self.details = details


class Rejected(ProviderError):
    """The provider's own 4xx: the client sees the upstream's status (422 as 400)."""

    status = 400

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        upstream = self.upstream_status or 400
        self.status = 400 if upstream == 422 else upstream  # noqa: PLR2004


class AuthFailed(ProviderError):
    """502: the provider refused our credential (401 would make clients doubt their own key)."""


class RateLimited(ProviderError):
    """429 from the provider."""

    status = 429


class Overloaded(ProviderError):
    """529, or a 503 that means the same."""

    status = 529


class ServerError(ProviderError):
    """The provider's own 5xx, but what means overload or lateness: the client sees the upstream's status.

    500 where it failed under another one, as Bedrock under 424, after which SDKs do not try again.
    """

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        upstream = self.upstream_status or 500
        self.status = upstream if 500 <= upstream < 600 else 500  # noqa: PLR2004 - HTTP


class Unreachable(ProviderError):
    """502: no connection, or a connection that broke."""


class TimedOut(ProviderError):
    """504: the provider did not answer in time."""

    status = 504


class Garbled(ProviderError):
    """502: the provider's answer cannot be read."""


class Stalled(GatewayError):
    """408: the client has stopped sending. SDKs try again."""

    status = 408

    def headers(self) -> dict[str, str]:
        """The rest of the body may still come: nothing else can on this connection."""
        return {**super().headers(), "connection": "close"}


class Expired(GatewayError):
    """504: nobody ran the job before its deadline."""

    status = 504


class StoreError(GatewayError):
    """503: Redis or the object store is down; nothing was accepted."""

    status = 503
