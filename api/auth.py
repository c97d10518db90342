"""Who is asking, and what may they have: headers to a Caller."""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Mapping

import msgspec

from api.cors import Origins
from shared.errors import InvalidRequest, NotAuthenticated, NotPermitted
from shared.governance import Grant
from shared.governance_keyring import Keyring
from shared.governance_settings import RequiredHeader
from shared.jobs import Job
from shared.queue import Share
from shared.settings import Settings

log = logging.getLogger("hermod.api")

ANONYMOUS = "anonymous"
KEY_PREFIX = "sk-bf-"
_SDK_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")


class Caller(msgspec.Struct, frozen=True):
    """The owner of what a request creates.

    Attributes:
        owner: a hash of the virtual key, never the key.
        share: what the owner may have of the gateway.
        grant: which providers and models; None for all.
    """

    owner: str
    share: Share
    grant: Grant | None = None

    def check(self, provider: str, model: str) -> None:
        """Raises NotPermitted when the caller may not use the model at the provider."""
        if self.grant is not None:
            self.grant.check(provider, model)


class Door:
    """Knows what a request needs to be let in, and the virtual keys, as hashes."""

    def __init__(self, settings: Settings, keyring: Keyring | None = None) -> None:
        client = settings.client
        self.keyring = Keyring(settings) if keyring is None else keyring
        self._key_required = client.enforce_auth_on_inference
        self._headers = [(rule, re.compile(rule.pattern)) for rule in settings.governance.required_headers]
        self._origins = Origins(client.allowed_origins)
        self._usual = Share(max_running=client.max_running_jobs_per_key, max_unfinished=client.max_jobs_per_key)

    def tell(self) -> None:
        """Log, at the start, that whoever reaches the gateway may use it, when it is so."""
        if not self._key_required:
            log.info("callers without a virtual key are let in: client.enforce_auth_on_inference is false")

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """The caller of a request: `x-bf-vk`, or an SDK's key header whose value begins `sk-bf-`.

        Other values in the SDKs' key headers are dummies that keep the SDK content; they are ignored.

        Raises:
            InvalidRequest: a header of `client.required_headers` is missing or has another value.
            NotAuthenticated: no virtual key although `client.enforce_auth_on_inference` asks for one, or one that is
                unknown although some are listed or have been created.
            NotPermitted: the key is not active, or has expired; or there is none and a page of a site that may not call
                has sent the request.
            StoreError: which keys there are has not been read yet.
        """
        if self._headers:
            self._check_headers(headers)
        key = headers.get("x-bf-vk", "").strip() or _sdk_key(headers)
        if key:
            owner, grant = self.keyring.of_value(key)
            return Caller(owner, self._usual if grant is None else grant.share, grant)
        if self._key_required:
            raise NotAuthenticated(
                "A virtual key is required: send it as `x-bf-vk`, or as the SDK's api_key (it begins `sk-bf-`).",
                code="virtual_key_required",
            )
        self._check_site(headers)
        return Caller(ANONYMOUS, self._usual)

    def _check_site(self, headers: Mapping[str, str]) -> None:
        """Raises NotPermitted for what a page of another site made its visitor's browser send.

        A form or a body of `text/plain` needs no preflight: the page could not read the answer, but the call would have
        been made. A key of any kind it could not send so.
        """
        origin = headers.get("origin")
        if origin is None or origin in self._origins or headers.get("sec-fetch-site") == "same-origin":
            return
        if any(_bare(headers.get(name, "")) for name in _SDK_HEADERS):
            return
        if origin.partition("://")[2] != headers.get("host", ""):
            message = "Pages of this site may not call; add it to client.allowed_origins."
            raise NotPermitted(message, code="cross_site")

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        for rule, pattern in self._headers:
            sent = headers.get(rule.name)
            if sent is None or not _has_value(rule, pattern, sent):
                what = "missing" if sent is None else "not a value that is accepted"
                message = f"{rule.name}: {what}; this gateway takes only requests with that header."
                raise InvalidRequest(message, param=rule.name, code="missing_required_headers")


def owns(owner: str, job: Job) -> bool:
    """May `owner` have what became of the job? Its own, and what was submitted without a key: Bifrost's rule."""
    return job.owner in {owner, ANONYMOUS}


def _has_value(rule: RequiredHeader, pattern: re.Pattern[str], sent: str) -> bool:
    if rule.value:
        return hmac.compare_digest(rule.value.encode(), sent.encode())
    return pattern.fullmatch(sent) is not None


def _sdk_key(headers: Mapping[str, str]) -> str | None:
    for name in _SDK_HEADERS:
        value = _bare(headers.get(name, ""))
        if value.startswith(KEY_PREFIX):
            return value
    return None


def _bare(value: str) -> str:
    """The key in a header; empty for none, and for what a browser sends along by itself, as `Basic` and `Negotiate`."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return "" if rest else scheme
