"""Every metric of every process: name, what it says, labels. What is not here cannot be emitted.

Labels hold what operators have configured or this code names, never who asks (a virtual key, an owner, an id) nor what
is asked; models, which callers name, are bounded. A series whose labels are known beforehand is there from the start,
with 0, so that its first event is an increase. Gauges of the queue and of batches are the same whichever process is
asked (`shared/queue_gauges.py`); all others are the process's own, and are to be summed.

The names that begin with `bifrost_` and `http_` are Bifrost's (docs/features/observability/prometheus).
"""

from __future__ import annotations

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest

from shared.batches import OPERATIONS, BatchState, Ending
from shared.jobs import Attempt, Job, State
from shared.lanes import Lane
from shared.tallies import Counters, Gauges, Histograms
from shared.webhook_scripts import WEBHOOK

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
MOST_MODELS = 200
"""Models told apart, the first that were asked for; a label's values are kept for as long as the process lives."""
OTHER = "other"

HTTP_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PROCESSING = "processing"
"""State of an item that has not ended."""
OPEN_STATES = (BatchState.IN_PROGRESS, BatchState.FINALIZING, BatchState.CANCELLING)

_JOB_OPERATIONS = ("chat", "count_tokens", "embeddings", "models", *sorted(OPERATIONS), WEBHOOK)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_BYTES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_RETRIES = (0, 1, 2, 3, 5, 10)

REGISTRY = CollectorRegistry()

# --- the queue, the same everywhere ---------------------------------------------------------------------

QUEUE_DEPTH = Gauges(REGISTRY, "hermod_queue_depth", "Jobs that are due and wait for a worker.", ["lane"], Lane)
QUEUE_OLDEST = Gauges(
    REGISTRY,
    "hermod_queue_oldest_seconds",
    "How long the job that has waited longest for a worker has waited; not behind its caller's own limit.",
    ["lane"],
    Lane,
)
QUEUE_BACKLOG = Gauges(
    REGISTRY,
    "hermod_queue_backlog_seconds",
    "How long the jobs that wait last at the rate of the last minute; infinite when none was begun.",
    ["lane"],
    Lane,
)
WORKERS = Gauges(REGISTRY, "hermod_workers", "Worker processes alive.")
BATCHES = Gauges(REGISTRY, "hermod_batches", "Batches that have not ended.", ["state"], OPEN_STATES)
BATCH_ITEMS = Gauges(
    REGISTRY, "hermod_batch_items", "Items of batches that have not ended.", ["state"], (PROCESSING, *Ending)
)

# --- jobs -----------------------------------------------------------------------------------------------

JOBS = Counters(
    REGISTRY,
    "hermod_jobs_total",
    "Jobs that ended.",
    ["operation", "lane", "state"],
    _JOB_OPERATIONS,
    Lane,
    [state for state in State if state.final],
)
ATTEMPTS = Counters(
    REGISTRY,
    "hermod_attempts_total",
    "Attempts of jobs and items; reason says why one failed, and is empty when it did not.",
    ["provider", "model", "reason"],
)
LEASE_TAKEOVERS = Counters(
    REGISTRY,
    "hermod_lease_takeovers_total",
    "Jobs put back into line by this worker because the lease of another ran out.",
)
LEASES = Gauges(REGISTRY, "hermod_leases", "Jobs that this worker holds.")
SLOTS = Gauges(REGISTRY, "hermod_slots", "Slots of this worker.", ["state"], ("busy", "free"))
WEBHOOK_TRIES = Counters(
    REGISTRY,
    "hermod_webhook_tries_total",
    "Tries to deliver an event, by the class of the endpoint's status (none: it did not answer).",
    ["endpoint", "status"],
)
RETRIES = Histograms(
    REGISTRY, "bifrost_request_retries", "Attempts beyond the first of jobs that ended.", bounds=_RETRIES
)

# --- calls of providers ---------------------------------------------------------------------------------

_TARGET = ("provider", "model")
CALLS = Counters(REGISTRY, "bifrost_upstream_requests_total", "Calls that were answered or failed.", _TARGET)
SUCCESSES = Counters(REGISTRY, "bifrost_success_requests_total", "Calls that succeeded.", _TARGET)
ERRORS = Counters(
    REGISTRY,
    "bifrost_error_requests_total",
    "Calls that failed, by the provider's status (0: it did not answer) and the kind of error.",
    [*_TARGET, "status_code", "error_type"],
)
LATENCY = Histograms(
    REGISTRY,
    "bifrost_upstream_latency_seconds",
    "From the beginning of a call that succeeded to the last byte of its answer.",
    _TARGET,
    bounds=_SECONDS,
)
FIRST_TOKEN = Histograms(
    REGISTRY,
    "bifrost_stream_first_token_latency_seconds",
    "From a streamed call's beginning to the first event for the client.",
    _TARGET,
    bounds=_SECONDS,
)
INPUT_TOKENS = Counters(REGISTRY, "bifrost_input_tokens_total", "Input tokens, cached ones too.", _TARGET)
OUTPUT_TOKENS = Counters(REGISTRY, "bifrost_output_tokens_total", "Output tokens.", _TARGET)
COST = Counters(REGISTRY, "bifrost_cost_total", "US dollars; of calls whose price is known.", _TARGET)
CACHE_HITS = Counters(REGISTRY, "bifrost_cache_hits_total", "Answers taken from the response cache.")
ACTIVE = Gauges(REGISTRY, "bifrost_active_requests", "Calls in flight.")
KEY_UP = Gauges(
    REGISTRY,
    "bifrost_provider_key_up",
    "0 when the provider refused the key of this name in its last call by this worker, else 1.",
    ["provider", "key"],
)

# --- requests of clients --------------------------------------------------------------------------------

HTTP_REQUESTS = Counters(
    REGISTRY, "http_requests_total", "Requests answered; path is the route.", ["path", "method", "status"]
)
HTTP_SECONDS = Histograms(
    REGISTRY,
    "http_request_duration_seconds",
    "From a request's head to the last byte of its answer, streams included.",
    ["path", "method"],
    bounds=_SECONDS,
)
HTTP_REQUEST_BYTES = Histograms(
    REGISTRY, "http_request_size_bytes", "Bodies of requests that say their length.", bounds=_BYTES
)
HTTP_RESPONSE_BYTES = Histograms(REGISTRY, "http_response_size_bytes", "Bodies of answers.", bounds=_BYTES)


class _Models:
    """The models that are told apart."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def label(self, model: str) -> str:
        """The model's name, or OTHER."""
        if model in self._known:
            return model
        if len(self._known) >= MOST_MODELS:
            return OTHER
        self._known.add(model)
        return model


model_label = _Models().label


def job_ended(job: Job, state: State, attempts: tuple[Attempt, ...] = ()) -> None:
    """Count a job whose end this process has written."""
    JOBS.of(job.operation, job.lane, state).value += 1
    if attempts:
        RETRIES.of().observe(len(attempts) - 1)


def exposition() -> bytes:
    """All of it in the text format that Prometheus reads."""
    return generate_latest(REGISTRY)
