"""Errors as a job's record keeps them: packed, and made errors again. Pure."""

from __future__ import annotations

import msgspec

from shared.errors import (
    AuthFailed,
    BudgetExceeded,
    Garbled,
    GatewayError,
    LimitExceeded,
    Overloaded,
    ProviderError,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unreachable,
)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of an error as a job's attempts keep them: a provider's, or a budget or limit that was used up.

    `kind` is the class name; `details` is JSON text, for a `Raw` of one format must not enter another.
    """

    kind: str
    message: str
    provider: str = ""
    upstream_status: int | None = None
    upstream_type: str | None = None
    details: bytes | None = None
    param: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    should_retry: bool | None = None

    @classmethod
    def of(cls, error: GatewayError) -> Failure:
        """Keep the facts of `error`."""
        facts = {name: getattr(error, name) for name in _facts(type(error))}
        if isinstance(error, ProviderError) and error.details is not None:
            facts["details"] = bytes(error.details)
        return cls(kind=type(error).__name__, message=error.message, **facts)

    def error(self) -> GatewayError:
        """The error again."""
        kind = _KINDS[self.kind]
        facts = {name: getattr(self, name) for name in _facts(kind)}
        if self.details is not None:
            facts["details"] = msgspec.Raw(self.details)
        return kind(self.message, **facts)


_COMMON = ("param", "code", "retry_after_s", "should_retry")
_PROVIDERS = ("provider", "upstream_status", "upstream_type", *_COMMON)
_KINDS: dict[str, type[GatewayError]] = {
    kind.__name__: kind
    for kind in (
        Rejected, AuthFailed, RateLimited, Overloaded, ServerError, Unreachable, TimedOut, Garbled,
        BudgetExceeded, LimitExceeded
    )
}  # fmt: skip


def _facts(kind: type[GatewayError]) -> tuple[str, ...]:
    """Those besides message and details."""
    return _PROVIDERS if issubclass(kind, ProviderError) else _COMMON
