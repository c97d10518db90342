"""Webhook endpoints managed: created, shown, changed, tried out, deleted; what was delivered to them, and once more.

What config.json sets can be shown here, tried out and brought back after a 410, and changed there only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict, replace

from api.job_views import read_page
from api.webhook_views import delivery_view, webhook_view
from shared.dialects.openai_errors import decode
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.ids import job_id, now_ms
from shared.job_index import JobIndex, Standing
from shared.jobs import State
from shared.queue import Queue
from shared.settings import Settings
from shared.stores.redis import RedisStore
from shared.webhook_book import WebhookBook
from shared.webhook_events import ANY, OWNER, TEST, hook, read_event
from shared.webhook_records import WebhookRecords, name_taken
from shared.webhook_settings import NAME, TAKEN_NAME, WebhookSettings, new_secret

View = dict[str, Any]

_Text = Annotated[str, Meta(max_length=2048)]


class _Body(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """See WebhookSettings; what is left out stays as it is."""

    name: Annotated[str, Meta(pattern=f"^{NAME}$")] | UnsetType = UNSET
    url: _Text | UnsetType = UNSET
    events: Annotated[list[str], Meta(max_length=100)] | UnsetType = UNSET
    secret: _Text | UnsetType = UNSET
    previous_secret: _Text | UnsetType | None = UNSET
    headers: Annotated[dict[_Text, _Text], Meta(max_length=100)] | UnsetType = UNSET
    include_response: bool | UnsetType = UNSET
    allow_private_network: bool | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


_BODY = msgspec.json.Decoder(_Body)
_DELIVERY = re.compile(r"[0-9a-f-]{36}")


class WebhookDesk:
    """Every method may raise StoreError; those that are given a name NotFound."""

    def __init__(self, book: WebhookBook, store: RedisStore, settings: Settings) -> None:
        self._book = book
        self._records = WebhookRecords(store)
        self._jobs = JobIndex(store)
        self._queue = Queue(store)
        self._kept_s = settings.client.webhook_retention_days * 86_400

    async def create(self, body: bytes) -> View:
        """A new endpoint, shown with its secret this once. Raises InvalidRequest, Conflict."""
        given = decode(_BODY, body)
        if given.name is UNSET:
            raise InvalidRequest("name: missing required field.", param="name")
        if given.name == TAKEN_NAME:
            message = f"name: {TAKEN_NAME!r} is part of the administration's own paths; choose another."
            raise InvalidRequest(message, param="name")
        endpoint = _changed(WebhookSettings(name=given.name, url="", secret=new_secret()), given)
        if endpoint.name in self._book.endpoints:
            raise name_taken(endpoint.name)
        await self._records.add(endpoint)
        await self._book.refresh()
        return self._shown(endpoint, endpoint.secret)

    async def all(self) -> list[View]:
        """All endpoints, by name."""
        await self._book.refresh()
        return [self._shown(endpoint) for _, endpoint in sorted(self._book.endpoints.items())]

    async def show(self, name: str) -> View:
        """One endpoint."""
        return self._shown(await self._found(name))

    async def change(self, name: str, body: bytes) -> View:
        """The endpoint with what the body says; `"disabled": false` also takes back a 410.

        Raises InvalidRequest, Conflict.
        """
        given, found = decode(_BODY, body), await self._found(name)
        if given.name not in {UNSET, name}:
            raise InvalidRequest("name: cannot be changed; requests and deliveries refer to it.", param="name")
        changes = [field for field, value in asdict(given).items() if value is not UNSET and field != "name"]
        if not self._book.is_set(name):
            await self._records.change(name, lambda endpoint: _changed(endpoint, given))
        elif changes != ["disabled"] or found.disabled or given.disabled:
            raise _not_here(name)
        if given.disabled is False:
            await self._records.mark(name, None)
        return await self.show(name)

    async def delete(self, name: str) -> View:
        """The endpoint is gone; what was still to be delivered to it is not. Raises Conflict."""
        await self._check_own(name)
        await self._records.forget(name)
        await self._book.refresh()
        return {"id": name, "object": "webhook", "deleted": True}

    async def rotate(self, name: str) -> View:
        """The endpoint with a new secret, shown this once; the one before is still used beside it. Raises Conflict."""
        await self._check_own(name)
        secret = new_secret()
        await self._records.change(
            name, lambda endpoint: replace(endpoint, secret=secret, previous_secret=endpoint.secret)
        )
        await self._book.refresh()
        return self._shown(await self._found(name), secret)

    # --- deliveries -----------------------------------------------------------------------------------

    async def test(self, name: str) -> View:
        """Send an event that is about nothing, once, also to an endpoint that is disabled: its delivery."""
        await self._found(name)
        delivery = job_id()
        body = f"{TEST} {State.SUCCEEDED} 200 {now_ms()} {ANY}\n{delivery}".encode()
        await self._records.tell(hook(name, delivery, ANY, self._kept_s), body)
        return await self.delivery(delivery)

    async def deliveries(self, name: str, query: Mapping[str, str]) -> View:
        """One page of the deliveries to an endpoint, newest first: `{object, data, has_more, next}`.

        Raises InvalidRequest.
        """
        await self._found(name)
        page, owner = read_page(query), OWNER + name
        rows = await self._jobs.owned(owner, after=page.after, state=page.state, count=page.limit + 1)
        shown, more = rows[: page.limit], len(rows) > page.limit
        last = shown[-1].job if more else None
        return {
            "object": "list",
            "data": await asyncio.gather(*map(self._delivery, shown)),
            "has_more": more,
            "next": f"{last.created_ms}_{last.id}" if last else None,
        }

    async def delivery(self, delivery_id: str) -> View:
        """One delivery."""
        return await self._delivery(await self._standing(delivery_id))

    async def redeliver(self, delivery_id: str) -> View:
        """Deliver the same event again, under its own id, whatever became of the first time: the new delivery."""
        standing = await self._standing(delivery_id)
        facts, newline, spec = (await self._queue.request(standing.job)).partition(b"\n")
        body = b"".join([facts.rpartition(b" ")[0], b" ", ANY.encode(), newline, spec])
        again = job_id()
        await self._records.tell(hook(standing.job.model, again, ANY, self._kept_s), body)
        return await self.delivery(again)

    async def _standing(self, delivery_id: str) -> Standing:
        """Raises NotFound, for a job that is no delivery too."""
        if not _DELIVERY.fullmatch(delivery_id):
            raise _no_such_delivery()
        try:
            owner = (await self._queue.look(delivery_id)).job.owner
        except NotFound as error:
            raise _no_such_delivery() from error
        if not owner.startswith(OWNER):
            raise _no_such_delivery()
        return await self._jobs.stand(delivery_id, owner)

    async def _delivery(self, standing: Standing) -> View:
        of_a_listing = standing.waiting is None and standing.outcome is None
        if of_a_listing and standing.state in {State.QUEUED, State.SUCCEEDED}:
            standing = await self._jobs.stand(standing.job.id, standing.job.owner)
        return delivery_view(standing, read_event(await self._queue.request(standing.job)))

    # --- endpoints ------------------------------------------------------------------------------------

    async def _found(self, name: str) -> WebhookSettings:
        await self._book.refresh()
        if name not in self._book.endpoints:
            raise NotFound("There is no such webhook endpoint.", code="webhook_not_found")
        return self._book.endpoints[name]

    async def _check_own(self, name: str) -> None:
        """Raises NotFound, and Conflict for one of config.json."""
        await self._found(name)
        if self._book.is_set(name):
            raise _not_here(name)

    def _shown(self, endpoint: WebhookSettings, secret: str = "") -> View:
        name = endpoint.name
        return webhook_view(
            endpoint, configured=self._book.is_set(name), gone_ms=self._book.gone.get(name), secret=secret
        )


def _changed(endpoint: WebhookSettings, given: _Body) -> WebhookSettings:
    """The endpoint with what is given. Raises InvalidRequest naming the field."""
    changes = {field: value for field, value in asdict(given).items() if value is not UNSET}
    if given.events is not UNSET:
        changes["events"] = tuple(given.events)
    if given.previous_secret is None:
        changes["previous_secret"] = ""
    changed = replace(endpoint, **changes)
    if problem := changed.problem():
        field, message = problem
        raise InvalidRequest(f"{field}: {message}.", param=field)
    return changed


def _no_such_delivery() -> NotFound:
    return NotFound("There is no such delivery: unknown, or no longer remembered.", code="delivery_not_found")


def _not_here(name: str) -> Conflict:
    return Conflict(f"It is set in config.json, webhooks ({name!r}); change it there.", code="set_in_configuration")
