"""An endpoint that is told of ends of jobs and batches, and what may be said of one.

Secrets and signatures are those of Standard Webhooks (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterable
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from shared.masked import Masked

JOB_EVENTS = ("async_job.completed", "async_job.failed")
"""Bifrost's."""
RESPONSE_EVENTS = ("response.completed", "response.failed", "response.cancelled", "response.incomplete")
BATCH_EVENTS = ("batch.completed", "batch.failed", "batch.expired", "batch.cancelled")
"""OpenAI's: https://platform.openai.com/docs/api-reference/webhook-events."""
EVENTS = (*JOB_EVENTS, *RESPONSE_EVENTS, *BATCH_EVENTS)
"""Everything an endpoint can be told of."""

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
TAKEN_NAME = "deliveries"
"""No endpoint's: `/admin/webhooks/deliveries/…` are those of all."""
PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_NEW_SECRET_BYTES = 32

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "host", "te", "transfer-encoding", "upgrade"}
)


class WebhookSettings(Masked, frozen=True, kw_only=True):
    """An entry of `webhooks`, or one that was created at run time; keys named as the attributes.

    Attributes:
        name: what requests call it in `x-bf-async-webhook`.
        url: where its events are posted to: `https` at port 443, or anything with `allow_private_network`.
        events: those of EVENTS it is told of whoever caused them; default none, only what a request names it for.
        secret: `whsec_` and the base64 of 24 to 64 bytes; empty in the API process for an endpoint of config.json.
        previous_secret: another that its receiver may still have; empty for none. Events carry both signatures.
        headers: what else is sent; default nothing.
        include_response: events carry the answer, or the error, if it has no more than 256 kB; default false.
        allow_private_network: it may be on a private network, speak plain HTTP and have any port; default false.
        disabled: nothing is sent to it; default false.
    """

    hidden: ClassVar[frozenset[str]] = frozenset({"secret", "previous_secret", "headers"})

    name: str
    url: str
    events: tuple[str, ...] = ()
    secret: str = ""
    previous_secret: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    include_response: bool = False
    allow_private_network: bool = False
    disabled: bool = False

    def problem(self) -> tuple[str, str] | None:
        """What is wrong, if anything: the field and what is expected of it; never a secret, nothing of the URL."""
        found = {
            "url": _url_problem(self.url, private=self.allow_private_network),
            "secret": _secret_problem(self.secret),
            "previous_secret": _secret_problem(self.previous_secret) if self.previous_secret else "",
            "events": _events_problem(self.events),
            "headers": next(filter(None, (_header_problem(*header) for header in self.headers.items())), ""),
        }
        return next(((field, message) for field, message in found.items() if message), None)


def new_secret() -> str:
    """A secret nobody can guess."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_NEW_SECRET_BYTES)).decode()


def secret_key(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError for what is no secret."""
    if not secret.startswith(PREFIX):
        raise ValueError("no prefix")
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def _secret_problem(secret: str) -> str:
    try:
        fits = len(secret_key(secret)) in _SECRET_BYTES
    except (binascii.Error, ValueError):
        fits = False
    least, most = _SECRET_BYTES.start, _SECRET_BYTES.stop - 1
    return "" if fits else f"expected {PREFIX} and the base64 of {least} to {most} random bytes"


def _url_problem(url: str, *, private: bool) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "expected a URL"
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isascii():
        return "expected a URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "expected a URL without user and password; put a credential into headers"
    if not private and (parts.scheme != "https" or port not in {None, 443}):
        return "expected https at port 443; allow_private_network allows others"
    return ""


def _events_problem(events: Iterable[str]) -> str:
    unknown = [event for event in events if event not in EVENTS]
    return f'expected some of {", ".join(EVENTS)}, got "{unknown[0][:60]}"' if unknown else ""


def _header_problem(name: str, value: str) -> str:
    if not _HEADER.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        return "expected names and values of HTTP headers"
    if name.lower() in _OWN_HEADERS or name.lower().startswith("webhook-"):
        return f"{name.lower()} is set by the gateway itself"
    return ""
