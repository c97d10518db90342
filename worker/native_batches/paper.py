"""The executor without a provider: what it would send is taken down, what a provider's batch answered is handed to it.

So an item is edited, rendered and translated back by the very code that runs it directly.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from shared.batches import Spent
from shared.dialects import DIALECTS
from shared.errors import GatewayError
from shared.jobs import Outcome
from shared.logs import where
from shared.prices import Prices
from worker.attachments import Attachments
from worker.begun import Begun
from worker.costs import at_batch_price, spent_on
from worker.exchange import Media, TryLater
from worker.executor import Executor
from worker.native_batches.stand_ins import without_media
from worker.routing import Router
from worker.transport import Answer, Call, Transport

log = logging.getLogger("hermod.worker")


class _Sent(Exception):
    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


class _Noting(Transport):
    def __init__(self) -> None:
        """Open nothing."""

    async def send(self, call: Call) -> Answer:
        raise _Sent(call)


class _Answering(Transport):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def send(self, call: Call) -> Answer:  # noqa: ARG002 - the answer is there already
        return self._answer


class Paper:
    """Writes requests and reads answers."""

    def __init__(self, router: Router, attachments: Attachments, media: Media | None, prices: Prices) -> None:
        self._router = router
        self._prices = prices
        self._writer = Executor(router, _Noting(), attachments, media=media)

    async def write(self, begun: Begun, key: str) -> Call:
        """The call that would be made with the provider key of that name.

        Raises:
            GatewayError: the item cannot be sent.
            TryLater: a store is away.
        """
        try:
            await self._writer.run(_with(key, begun))
        except _Sent as sent:
            return sent.call
        except (GatewayError, TryLater):
            raise
        except Exception as error:
            raise _defect(error) from error
        raise AssertionError("an executor sends before it has an outcome")

    async def read(self, begun: Begun, key: str, status: int, body: bytes) -> tuple[Outcome, Spent]:
        """The outcome of an item that was answered so, an error in the dialect's own body too, and what it has cost."""
        try:
            return await self._read(_with(key, begun), status, body)
        except Exception as error:  # noqa: BLE001 - one answer must not keep its batch from ending
            return failed(begun, _defect(error)), Spent()

    async def _read(self, begun: Begun, status: int, body: bytes) -> tuple[Outcome, Spent]:
        executor = Executor(self._router, _Answering(Answer(status, {}, body)), prices=self._prices)
        begun.body = without_media(begun.body, begun.job.dialect)
        try:
            answered = await executor.run(begun)
        except TryLater:
            failure = begun.attempts[-1].failure
            return failed(begun, failure.error() if failure else GatewayError("The provider failed.")), Spent()
        except GatewayError as error:
            return failed(begun, error), Spent()
        provider, _, model = begun.job.model.partition("/")
        target = self._router.target(provider, model, only=frozenset({begun.job.key}))
        outcome, saved = at_batch_price(answered, self._prices, target)
        return outcome, spent_on(outcome, native=True, saved=saved)


def _with(key: str, begun: Begun) -> Begun:
    """The item as that key sends it: another may stand for another address, or call the model something else."""
    return Begun(replace(begun.job, key=key), begun.body)


def _defect(error: Exception) -> GatewayError:
    log.error("an item of a native batch failed: %s", where(error))
    return GatewayError("The gateway failed on this request.", code="internal")


def failed(begun: Begun, error: GatewayError) -> Outcome:
    """The outcome of an item that came to `error`."""
    dialect = DIALECTS[begun.job.dialect]
    return Outcome(status=dialect.error_status(error), body=dialect.render_error(error, begun.job.request_id))
