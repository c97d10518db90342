"""One run of a job: where it stands, what time it has, and the record of what becomes of it."""

from __future__ import annotations

from shared.errors import AuthFailed, GatewayError, RateLimited
from shared.failures import Failure
from shared.ids import now_ms
from shared.jobs import Attempt
from shared.lanes import Lane
from shared.metrics import ATTEMPTS
from worker.exchange import Asked
from worker.retry import PATIENCE_S, Next, following, place
from worker.routing import Target

ENDLESS_S = 1e9
"""What an item of a batch has left: its shard ends it with the batch's window."""
MOST_WAITS = 16
"""Attempts kept of those that only came too early: a job may meet many in a day."""
EXHAUSTED = "upstream_credentials_exhausted"


class SpentHere(Exception):
    """The caller may have no more of the target's provider, though perhaps of others. `error`: where it ends there."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error


class Turn:
    """A job on its way through its targets.

    Attributes:
        pairs: the (provider, model) it may be tried at.
        stands: which of them it is tried at now.
    """

    def __init__(self, asked: Asked, pairs: list[tuple[str, str]]) -> None:
        self.asked = asked
        self.pairs = pairs
        self._providers = [provider for provider, _ in pairs]
        self.stands = place(asked.attempts, self._providers)

    def more_targets(self, *, ambiguous: bool = False) -> bool:
        """There is a fallback; after an ambiguous failure, at another provider."""
        return following(self.stands.index, self._providers, ambiguous=ambiguous) < len(self.pairs)

    @property
    def left_s(self) -> float:
        """Until the job's deadline."""
        job = self.asked.job
        return ENDLESS_S if job.lane is Lane.BATCH else (job.deadline_ms - now_ms()) / 1000

    @property
    def waited_s(self) -> float:
        """Since the target was first tried."""
        return 0.0 if self.stands.since_ms is None else (now_ms() - self.stands.since_ms) / 1000

    def record(self, target: Target, started_ms: int, error: GatewayError | None, then: Next | None) -> None:
        """Put the attempt on the job's record."""
        attempts = self.asked.attempts
        if then is Next.WAIT:
            waits = [attempt for attempt in attempts if attempt.then == Next.WAIT]
            if len(waits) >= MOST_WAITS:
                attempts = tuple(attempt for attempt in attempts if attempt is not waits[1])
        attempt = Attempt(
            number=attempts[-1].number + 1 if attempts else 1,
            target=target.name,
            key=target.key.name,
            started_ms=started_ms,
            ended_ms=now_ms(),
            failure=Failure.of(error) if error else None,
            then=then or "",
        )
        self.asked.attempts = (*attempts, attempt)
        reason = type(error).__name__ if error else ""
        ATTEMPTS.of(*target.labels, reason).value += 1

    def error(self) -> GatewayError:
        """The first target's last error: what the client asked for, not what the gateway tried next."""
        attempts = self.asked.attempts
        last = next((attempt for attempt in attempts if attempt.then == Next.FALLBACK), attempts[-1])
        assert last.failure is not None, "a fallback follows a failure"  # noqa: S101 - it was written a moment ago
        error = last.failure.error()
        if isinstance(error, AuthFailed):
            error.code = EXHAUSTED
        if isinstance(error, RateLimited) and (error.retry_after_s or 0) > PATIENCE_S:
            error.should_retry = False  # Anthropic's SDK would sleep for hours, and say nothing
        return error
