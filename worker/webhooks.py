"""Tells endpoints of ends of jobs and batches: signed, at least once, for as long as their receivers are away.

An event is lined up in the step that writes the end, see `shared/webhook_scripts.py`; here one try is made of a
leased delivery. Signatures: https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import logging
import math
import random
import time
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from shared import metrics
from shared.allowed_hosts import AllowedHost
from shared.batch_records import BatchRecords
from shared.batch_values import BatchValues
from shared.bodies import Bodies
from shared.errors import GatewayError, NotFound, StoreError
from shared.failures import Failure
from shared.ids import now_ms
from shared.jobs import Attempt, Outcome, State
from shared.queue import Queue
from shared.settings import Settings
from shared.stores.redis import RedisStore
from shared.webhook_events import INCOMPLETE, JOB, TEST, Event, read_event
from shared.webhook_records import WebhookRecords
from shared.webhook_settings import WebhookSettings, secret_key
from worker import webhook_payload as payloads
from worker.failpoints import reach
from worker.fetcher import GuardedFetcher
from worker.guard import FetchFailed, Guard
from worker.lease import Lease

log = logging.getLogger("hermod.webhooks")

TRY_S = 10.0
"""One try, from the look-up of the name to the answer; Bifrost's."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 1800.0
"""Pauses between tries double from the one to the other; Bifrost's."""
SPREAD = 0.1
"""Share by which a pause is longer or shorter, so that what failed together does not come back together."""
MOST_ANSWER_BYTES = 64 * 1024
"""Of an answer that is read; nothing of it is kept but the status."""
STORE_AWAY_S = 2.0
"""When one is due again whose answer lies in an object store that is away."""
KEPT_ATTEMPTS = 20
SUCCESS, GONE = range(200, 300), 410


class Webhooks:
    """Delivers events; create it in a running event loop."""

    def __init__(self, store: RedisStore, bodies: Bodies, settings: Settings) -> None:
        self._own = {endpoint.name: endpoint for endpoint in settings.webhooks}
        self._records = WebhookRecords(store)
        self._queue = Queue(store)
        self._batches = BatchRecords(store)
        self._values = BatchValues(store.seal)
        self._bodies = bodies
        self._public_url = settings.public_url
        self._public = GuardedFetcher(Guard())
        self._private: dict[AllowedHost, GuardedFetcher] = {}

    async def close(self) -> None:
        """Close every connection."""
        for fetcher in (self._public, *self._private.values()):
            await fetcher.close()

    async def deliver(self, lease: Lease) -> None:
        """Make one try; end the delivery or give it back for another. Raises LeaseLost, StoreError."""
        event = read_event(lease.body)
        if lease.late and lease.crashes:
            await self._give_up(lease, now_ms(), "its time is over, and it has taken down workers")
            return
        try:
            endpoint = await self._endpoint(lease.job.model)
        except StoreError:
            raise
        except GatewayError as error:
            await self._give_up(lease, now_ms(), error.message)
            return
        if endpoint is None or (endpoint.disabled and event.kind != TEST):
            why = "there is no such endpoint any more" if endpoint is None else "the endpoint is disabled"
            await self._give_up(lease, now_ms(), why)
            return
        try:
            body = await self._body(event, endpoint)
        except StoreError:
            await lease.defer(STORE_AWAY_S)
            return
        if body is None:
            await lease.finish(State.CANCELLED, Outcome(status=204))
            return
        await self._try(lease, event, endpoint, body)

    async def _try(self, lease: Lease, event: Event, endpoint: WebhookSettings, body: bytes) -> None:
        began_ms = now_ms()
        reach("delivering")
        status, why = await self._send(event, endpoint, body)
        reach("delivered")
        metrics.WEBHOOK_TRIES.of(endpoint.name, _class_of(status)).value += 1
        if not why:
            lease.attempts = _with(lease, began_ms, "", None)
            await lease.finish(State.SUCCEEDED, Outcome(status=status or 200))
            return
        pause_s = _pause_s(_last_number(lease) + 1)
        if status == GONE:
            log.warning("webhook %s answered 410 and is told no more", endpoint.name)
            await self._records.mark(endpoint.name, now_ms())
        elif now_ms() + pause_s * 1000 < lease.job.deadline_ms and event.kind != TEST:
            lease.attempts = _with(lease, began_ms, why, status, "retry")
            await lease.defer(pause_s, f"webhook_failed {endpoint.name}")
            return
        await self._give_up(lease, began_ms, why, status)

    async def _give_up(self, lease: Lease, began_ms: int, why: str, status: int | None = None) -> None:
        log.warning("a webhook is not delivered: %s", why, extra={"job_id": lease.id})
        lease.attempts = _with(lease, began_ms, why, status, "fail")
        await lease.finish(State.FAILED, Outcome(status=status or 502))

    # --- sending --------------------------------------------------------------------------------------

    async def _send(self, event: Event, endpoint: WebhookSettings, body: bytes) -> tuple[int | None, str]:
        """The answer's status, None without one; and why it was not delivered, empty when it was."""
        headers = {**endpoint.headers, "content-type": "application/json", **signed(event.id, endpoint, body)}
        sending = self._fetcher(endpoint).open(
            endpoint.url, method="POST", headers=headers, body=body, timeout_s=TRY_S, max_bytes=MOST_ANSWER_BYTES
        )
        try:
            async with sending as answer:
                with contextlib.suppress(FetchFailed):
                    async for _ in answer.chunks():
                        pass
                return answer.status, "" if answer.status in SUCCESS else f"it answered {answer.status}"
        except FetchFailed as error:
            return None, error.why

    def _fetcher(self, endpoint: WebhookSettings) -> GuardedFetcher:
        """One that gets to the endpoint: to it alone where that is on a private network, else to what is public."""
        if not endpoint.allow_private_network:
            return self._public
        parts = urlsplit(endpoint.url)
        place = AllowedHost(name=parts.hostname or "", port=parts.port or (443 if parts.scheme == "https" else 80))
        if place not in self._private:
            self._private[place] = GuardedFetcher(Guard((place,)))
        return self._private[place]

    # --- what is sent ---------------------------------------------------------------------------------

    async def _endpoint(self, name: str) -> WebhookSettings | None:
        found = self._own.get(name) or await self._records.find(name)
        if found is None or not await self._records.is_gone(name):
            return found
        return replace(found, disabled=True)

    async def _body(self, event: Event, endpoint: WebhookSettings) -> bytes | None:
        """None when the endpoint is not told of such an event after all. Raises StoreError."""
        names, data = event.names, dict[str, Any]()
        if event.job:
            data = payloads.job_data(event, event.job, self._public_url)
            may_be_incomplete = names[1] == "response.completed"
            outcome = await self._outcome(event) if endpoint.include_response or may_be_incomplete else None
            if may_be_incomplete and outcome and payloads.is_incomplete(outcome):
                names = (names[0], INCOMPLETE)
            if endpoint.include_response:
                data |= payloads.inlined(event, outcome)
        elif event.batch:
            batch, counts = self._values.listed(event.batch), await self._counts(event.subject)
            data = payloads.batch_data(event, batch, counts, self._public_url)
        if event.kind == JOB and not event.asked and not set(names) & set(endpoint.events):
            return None
        return payloads.payload(event, names, data)

    async def _outcome(self, event: Event) -> Outcome | None:
        """What the job ended with; None when that has expired or been lost."""
        try:
            ended = await self._queue.look(event.subject)
            return ended.outcome and await self._bodies.whole(ended.job.owner, ended.job.id, ended.outcome)
        except StoreError:
            raise
        except GatewayError:
            return None

    async def _counts(self, batch_id: str) -> Any:
        try:
            return (await self._batches.look(batch_id)).counts
        except NotFound:
            return None


def signed(event_id: str, endpoint: WebhookSettings, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows that `body` is ours and new: a signature for each of its secrets."""
    timestamp = str(int(time.time()))
    signature = " ".join(
        _signature(secret, event_id, timestamp, body)
        for secret in (endpoint.secret, endpoint.previous_secret)
        if secret
    )
    return {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


def _signature(secret: str, event_id: str, timestamp: str, body: bytes) -> str:
    message = f"{event_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret_key(secret), message, hashlib.sha256).digest()).decode()


def _class_of(status: int | None) -> str:
    """As in `5xx`: the receiver chooses the status, and is not to choose how many series there are."""
    return f"{status // 100}xx" if status and status in range(100, 600) else "none"


def _pause_s(number: int) -> float:
    """How long to wait after try `number`, from 1."""
    usual = min(math.ldexp(FIRST_PAUSE_S, number - 1), LONGEST_PAUSE_S)
    return usual * random.uniform(1 - SPREAD, 1 + SPREAD)


def _last_number(lease: Lease) -> int:
    return lease.attempts[-1].number if lease.attempts else 0


def _with(lease: Lease, began_ms: int, why: str, status: int | None, then: str = "") -> tuple[Attempt, ...]:
    """The tries so far and this one; of very many the latest."""
    name = lease.job.model
    failure = Failure(kind="NotDelivered", message=why, provider=name, upstream_status=status) if why else None
    number = _last_number(lease) + 1
    attempt = Attempt(
        number=number, target=name, key="", started_ms=began_ms, ended_ms=now_ms(), failure=failure, then=then
    )
    return (*lease.attempts, attempt)[-KEPT_ATTEMPTS:]
