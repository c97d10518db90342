"""Who is asking, and what may they have: headers to a Caller."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from shared.errors import NotAuthenticated, NotPermitted
from shared.ids import digest
from shared.jobs import Job
from shared.queue import Share
from shared.settings import Settings

ANONYMOUS = "anonymous"
KEY_PREFIX = "sk-bf-"
_SDK_HEADERS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")


class Caller(msgspec.Struct, frozen=True):
    """The owner of what a request creates.

    Attributes:
        owner: a hash of the virtual key, never the key.
        share: what the owner may have of the gateway.
    """

    owner: str
    share: Share


class Door:
    """Knows the virtual keys, as hashes, and the share of each."""

    def __init__(self, settings: Settings) -> None:
        client = settings.client
        self._key_required = client.enforce_auth_on_inference
        self._usual = Share(max_running=client.max_running_jobs_per_key, max_unfinished=client.max_jobs_per_key)
        self._shares = {
            owner_of(key.value): Share(key.weight, key.max_running_jobs, key.max_jobs) if key.active else None
            for key in settings.virtual_keys
        }

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """The caller of a request: `x-bf-vk`, or an SDK's key header whose value begins `sk-bf-`.

        Other values in the SDKs' key headers are dummies that keep the SDK content; they are ignored.

        Raises:
            NotAuthenticated: no virtual key although `client.enforce_auth_on_inference` asks for one, or one that
                `governance.virtual_keys` does not list although it lists some.
            NotPermitted: the key is not active.
        """
        key = headers.get("x-bf-vk") or _sdk_key(headers)
        if key:
            return self._known(owner_of(key))
        if self._key_required:
            raise NotAuthenticated(
                "A virtual key is required: send it as `x-bf-vk`, or as the SDK's api_key (it begins `sk-bf-`).",
                code="virtual_key_required",
            )
        return Caller(ANONYMOUS, self._usual)

    def _known(self, owner: str) -> Caller:
        if not self._shares:
            return Caller(owner, self._usual)
        if owner not in self._shares:
            raise NotAuthenticated("The virtual key is unknown to this gateway.", code="virtual_key_unknown")
        share = self._shares[owner]
        if share is None:
            raise NotPermitted("The virtual key is not active; ask whoever issued it.", code="access_blocked")
        return Caller(owner, share)


def owns(owner: str, job: Job) -> bool:
    """May `owner` have what became of the job? Its own, and what was submitted without a key: Bifrost's rule."""
    return job.owner in {owner, ANONYMOUS}


def owner_of(key: str) -> str:
    """The owner a virtual key stands for."""
    return "vk:" + digest(key.encode())[:32]


def _sdk_key(headers: Mapping[str, str]) -> str | None:
    for name in _SDK_HEADERS:
        value = headers.get(name, "")
        value = value[7:].lstrip() if value[:7].lower() == "bearer " else value
        if value.startswith(KEY_PREFIX):
            return value
    return None
