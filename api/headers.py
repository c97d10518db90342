"""What the request's headers ask of the gateway, and which of them travel to the provider."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from shared.errors import InvalidRequest
from shared.ids import digest
from shared.queue_scripts import IDEMPOTENCY_S
from shared.repeats import Asked, name_of
from shared.settings import ClientSettings
from shared.traces import valid

MAX_WAIT_S = 300.0
"""Longest `Prefer: wait`; beyond it load balancers cut the connection anyway."""

PATIENCE_S = 600.0
"""Both vendors' SDKs give up on an answer after ten minutes, unless told otherwise."""

LONGEST_NAME = 255
"""Characters of a key's or session's name."""

ALWAYS_FORWARDED = ("anthropic-version", "anthropic-beta")
NEVER_FORWARDED = frozenset(
    {
        "accept-encoding",
        "api-key",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-goog-api-key",
    }
)
"""Credentials of the client, hop-by-hop headers (RFC 9110, section 7.6.1) and what says how the body is coded or sent,
whatever the allow-list says."""


class Wishes(msgspec.Struct, frozen=True):
    """How the client wants to wait.

    Attributes:
        submit: answer with a placeholder at once.
        poll_id: the job to look at instead of reading the body.
        ttl_s: seconds to keep the outcome from completion.
        wait_s: hold the answer up to this long on submit or poll.
        idempotency_key: empty when none was given.
        retried: the SDK says that this is a retry of its own.
        patience_s: how long the SDK waits for a plain answer before it gives up.
        key: name of the provider key to use; empty for any.
        session: requests of one go to the same provider key; empty for none.
        trace: the client's `traceparent`; empty for none.
        webhook: name of the endpoint that is to hear of the end; empty for none.
        read_once: a poll that brings the outcome also deletes it.
    """

    submit: bool
    poll_id: str
    ttl_s: int
    wait_s: float
    idempotency_key: str
    retried: bool
    patience_s: float
    key: str = ""
    session: str = ""
    trace: str = ""
    webhook: str = ""
    read_once: bool = False

    def asked(self, owner: str, *what: bytes, began_ms: int) -> Asked:
        """How the owner's request, whose parts are `what` and which arrived at `began_ms`, is known again."""
        name = name_of(owner, self.idempotency_key)
        return Asked(digest(owner.encode(), *what), began_ms, int(self.retried), name)


def wishes(headers: Mapping[str, str], client: ClientSettings) -> Wishes:
    """Read the gateway's own headers. Raises InvalidRequest naming the header."""
    retry_count = headers.get("x-stainless-retry-count", "0")
    # Bifrost's, to keep a request's content out of its logs: here no content is ever logged, so nothing depends on it.
    flag("x-bf-disable-content-logging", headers.get("x-bf-disable-content-logging"))
    return Wishes(
        submit=flag("x-bf-async", headers.get("x-bf-async")),
        poll_id=headers.get("x-bf-async-id", "").strip(),
        ttl_s=_ttl(headers, client),
        wait_s=_wait(headers),
        idempotency_key=headers.get("idempotency-key", ""),
        retried=retry_count.isascii() and retry_count.isdigit() and retry_count.strip("0") != "",
        patience_s=_patience(headers.get("x-stainless-timeout", "")),
        key=_key(headers),
        session=_name("x-bf-session-id", headers.get("x-bf-session-id", "")),
        webhook=_name("x-bf-async-webhook", headers.get("x-bf-async-webhook", "")),
        read_once=flag("x-bf-async-delete-on-read", headers.get("x-bf-async-delete-on-read")),
        trace=valid(headers.get("traceparent", "")),
    )


def _patience(timeout: str) -> float:
    """Seconds; what an SDK says of itself is a hint, so anything odd is the SDKs' default."""
    seconds = int(timeout) if timeout.isascii() and timeout.isdigit() and len(timeout) < 6 else 0  # noqa: PLR2004 - under 28 hours
    return float(seconds or PATIENCE_S)


def refuse_async(headers: Mapping[str, str]) -> None:
    """Raise InvalidRequest when a route without jobs is asked for one."""
    for name in ("x-bf-async", "x-bf-async-id"):
        if headers.get(name, "").strip().lower() not in {"", "false", "0"}:
            raise InvalidRequest(f"{name}: this route has no async form; leave the header out.", param=name)


def forwarded(headers: Mapping[str, str], client: ClientSettings) -> dict[str, str]:
    """The headers that travel to the provider, names in lower case.

    `anthropic-version` and `anthropic-beta` always; `x-bf-eh-<name>` as `<name>`; others only by the configured
    allow-list; the deny-list and NEVER_FORWARDED win.
    """
    allow, deny = client.header_filter_config.allowlist, client.header_filter_config.denylist
    chosen = {}
    for name, value in headers.items():
        target = name.removeprefix("x-bf-eh-")
        wanted = target != name or name in ALWAYS_FORWARDED or _matches(name, allow)
        refused = not target or target in NEVER_FORWARDED or target.startswith("x-bf-") or _matches(target, deny)
        if wanted and not refused:
            chosen[target] = value
    return chosen


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns)


def flag(name: str, value: str | None) -> bool:
    """A header that is true or false; absent is false. Raises InvalidRequest."""
    match (value or "").strip().lower():
        case "" | "false" | "0":
            return False
        case "true" | "1":
            return True
    raise InvalidRequest(f"{name}: expected `true` or `false`, got {str(value)[:40]!r}.", param=name)


def _key(headers: Mapping[str, str]) -> str:
    by_name, by_id = (_name(name, headers.get(name, "")) for name in ("x-bf-api-key", "x-bf-api-key-id"))
    return by_id or by_name


def _name(header: str, value: str) -> str:
    if len(value) > LONGEST_NAME:
        raise InvalidRequest(f"{header}: longer than {LONGEST_NAME} characters.", param=header)
    return value.strip()


def _ttl(headers: Mapping[str, str], client: ClientSettings) -> int:
    name = "x-bf-async-job-result-ttl"
    value = headers.get(name)
    if value is None:
        # What a client's own key names is the same job for as long as the key is known.
        known_s = min(IDEMPOTENCY_S, client.async_job_result_ttl_max) if headers.get("idempotency-key") else 0
        return max(client.async_job_result_ttl, known_s)
    text, longest = value.strip(), client.async_job_result_ttl_max
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(longest))
    if not digits or not 0 < int(text) <= longest:
        raise InvalidRequest(
            f"{name}: expected whole seconds from 1 to {client.async_job_result_ttl_max}, got {value[:40]!r}.",
            param=name,
        )
    return int(text)


def _wait(headers: Mapping[str, str]) -> float:
    name, value = "x-bf-async-wait", headers.get("x-bf-async-wait")
    if value is None:
        name = "Prefer"
        value = _preferred_wait(headers.get("prefer", ""))
    if value is None:
        return 0.0
    if not (value.isascii() and value.isdigit()):
        raise InvalidRequest(f"{name}: expected whole seconds to wait, got {value[:40]!r}.", param=name)
    return min(float(value), MAX_WAIT_S)


def _preferred_wait(prefer: str) -> str | None:
    """`wait` among the preferences (RFC 7240, section 4.3)."""
    for preference in prefer.replace(";", ",").split(","):
        name, equals, value = preference.strip().partition("=")
        if equals and name.strip().lower() == "wait":
            return value.strip().strip('"')
    return None
