"""One exchange with a provider, watched: counted, timed and traced."""

from __future__ import annotations

import logging
import time
from functools import lru_cache

from shared import metrics, traces
from shared.errors import ProviderError
from shared.jobs import Outcome
from shared.tallies import Spread, Tally
from shared.traces import Kind, Span
from worker.exchange import Asked, Exchange, Heard, StreamBroke
from worker.retry import refuses_key
from worker.routing import Target

log = logging.getLogger("hermod.worker")

_NANO = 1e-9
_PROVIDER_NAMES = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
"""`gen_ai.provider.name` where it is not our own name (OpenTelemetry semantic conventions, registry of gen_ai)."""


async def watched(exchange: Exchange, asked: Asked, target: Target, *, heard: Heard) -> Outcome:
    """What `exchange.run` returns or raises."""
    if not traces.active():
        return await _counted(exchange, asked, target, heard)
    with traces.span(f"{asked.job.operation} {target.model}", Kind.CLIENT) as span:
        span.note(_asked(asked, target))
        try:
            outcome = await _counted(exchange, asked, target, heard)
        except StreamBroke as broke:
            _note_failure(span, broke.error)
            raise
        except ProviderError as error:
            _note_failure(span, error)
            raise
        if used := outcome.usage:
            span.note(
                {"gen_ai.usage.input_tokens": used.total_input_tokens, "gen_ai.usage.output_tokens": used.output_tokens}
            )
        return outcome


def count_spent(target: Target, outcome: Outcome) -> None:
    """What a priced outcome has cost."""
    labels = target.labels
    if outcome.usage is not None:
        metrics.INPUT_TOKENS.of(*labels).value += outcome.usage.total_input_tokens
        metrics.OUTPUT_TOKENS.of(*labels).value += outcome.usage.output_tokens
    if outcome.cost is not None:
        metrics.COST.of(*labels).value += outcome.cost * _NANO


async def _counted(exchange: Exchange, asked: Asked, target: Target, heard: Heard) -> Outcome:
    began, active = time.perf_counter(), metrics.ACTIVE.of()
    active.value += 1
    try:
        outcome = await exchange.run(asked, target, heard)
    except StreamBroke as broke:
        _failed(target, broke.error)
        raise
    except ProviderError as error:
        _failed(target, error)
        raise
    finally:
        active.value -= 1
    _succeeded(target, time.perf_counter() - began)
    if heard.first_at is not None:
        metrics.FIRST_TOKEN.of(*target.labels).observe(heard.first_at - began)
    return outcome


def _succeeded(target: Target, seconds: float) -> None:
    calls, successes, latency, is_up = _series(*target.labels, target.key.name)
    calls.value += 1
    successes.value += 1
    latency.observe(seconds)
    is_up.value = 1
    log.debug("%s answered", target.row.name)


@lru_cache(maxsize=1024)
def _series(provider: str, model: str, key: str) -> tuple[Tally, Tally, Spread, Tally]:
    """Those that each good answer counts in."""
    labels = provider, model
    up = metrics.KEY_UP.of(provider, key)
    return metrics.CALLS.of(*labels), metrics.SUCCESSES.of(*labels), metrics.LATENCY.of(*labels), up


def _failed(target: Target, error: ProviderError) -> None:
    labels, kind = target.labels, type(error).__name__
    metrics.CALLS.of(*labels).value += 1
    metrics.ERRORS.of(*labels, str(error.upstream_status or 0), kind).value += 1
    if refuses_key(error):
        metrics.KEY_UP.of(target.row.name, target.key.name).value = 0
    log.debug("%s failed: %s", target.row.name, kind)


def _asked(asked: Asked, target: Target) -> dict[str, traces.Value]:
    attempts = asked.attempts
    return {
        "gen_ai.operation.name": asked.job.operation,
        "gen_ai.provider.name": _PROVIDER_NAMES.get(target.row.name, target.row.name),
        "gen_ai.request.model": target.upstream_model,
        "hermod.job.id": asked.job.id,
        "hermod.attempt": attempts[-1].number + 1 if attempts else 1,
    }


def _note_failure(span: Span, error: ProviderError) -> None:
    span.fail(type(error).__name__)
    if error.upstream_status is not None:
        span.note({"http.response.status_code": error.upstream_status})
