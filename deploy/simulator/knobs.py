"""Knobs: how the simulator behaves by default, and how a model name orders something else for one call.

The model is the one field that travels unchanged through any gateway, so it carries the orders. A name that begins
with `sim-` and consists of these words, joined by `+` (`sim-latency-500+words-50`), is obeyed; a path in front
(`openai/sim-429`) is ignored; every other name is answered at once, or as the knobs say.

    word                what happens
    ------------------  --------------------------------------------------------------------------------------------
    latency-2000        2000 ms pass before the first byte
    rate-50             a stream brings 50 words per second
    words-500           the answer has exactly 500 words
    429                 that status in the vendor's error body, any from 400 to 599; 429 comes with `retry-after: 1`
    cut                 the connection is closed before any byte
    cut-stream          the connection is closed in the middle of the stream, or of the body of a plain answer
    garbage             status 200 and a body that is not JSON
    stream-error        an error event in the middle of the stream; a plain request gets the error's status
    stream-error-first  the same, as the first event
    stream-error-head   the same, as the second one, after what only opens the stream
    <fault>-once        any of the faults above, only for the first call with that body: the next one is answered
    batch-3             a batch whose first request has that model has ended once it was looked at 3 times
    batch-stall         such a batch never ends, unless it is cancelled
    batch-lost          such a batch is accepted, and answered with status 500
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

_PREFIX = "sim-"
_NUMBER = re.compile(r"(latency|rate|words|batch)-(\d{1,7})")
_BATCH = re.compile(r"batch-(stall|lost)")
_FAULT = re.compile(r"([45]\d\d|cut|cut-stream|garbage|stream-error|stream-error-first|stream-error-head)(-once)?")
_MOST_WORDS = 100_000


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """Behaviour of every call whose model name orders nothing else.

    Attributes:
        latency_ms: before the first byte.
        tokens_per_s: of streams; 0 writes a stream at once.
        error_rate: share of calls, 0 to 1, that get `error_kind`.
        error_kind: a fault of the table above.
        seed: of the draw for `error_rate`: the same calls in the same order fail.
        ledger_size: calls remembered, the oldest is forgotten first.
        requests_per_minute, tokens_per_minute: of each key and model, 0 for no limit.
        burst_s: seconds' worth of them that there is at once after a rest.
    """

    latency_ms: int = 0
    tokens_per_s: float = 0.0
    error_rate: float = 0.0
    error_kind: str = "529"
    seed: int = 0
    ledger_size: int = 200_000
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    burst_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.error_rate <= 1:
            raise ValueError(f"error_rate is a share from 0 to 1, not {self.error_rate}")
        if not _FAULT.fullmatch(self.error_kind):
            raise ValueError(f"no such fault: {self.error_kind}")


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What one model name orders; None and the empty fault leave it to the knobs.

    Attributes:
        batch_looks: how often a batch is seen running before it has ended.
        batch_fault: `stall` or `lost`; empty for none.
    """

    latency_ms: int | None = None
    tokens_per_s: int | None = None
    words: int | None = None
    fault: str = ""
    once: bool = False
    batch_looks: int = 1
    batch_fault: str = ""


@lru_cache(maxsize=4096)
def read_orders(model: str) -> Orders:
    """Reads a model name by the table above."""
    name = model.rpartition("/")[2]
    if not name.startswith(_PREFIX):
        return Orders()
    orders = Orders()
    for word in name.removeprefix(_PREFIX).split("+"):
        if number := _NUMBER.fullmatch(word):
            orders = _with_number(orders, number[1], int(number[2]))
        elif batch := _BATCH.fullmatch(word):
            orders = msgspec.structs.replace(orders, batch_fault=batch[1])
        elif fault := _FAULT.fullmatch(word):
            orders = msgspec.structs.replace(orders, fault=fault[1], once=bool(fault[2]))
        else:
            return Orders()
    return orders


def _with_number(orders: Orders, name: str, number: int) -> Orders:
    match name:
        case "latency":
            return msgspec.structs.replace(orders, latency_ms=number)
        case "rate":
            return msgspec.structs.replace(orders, tokens_per_s=number)
        case "batch":
            return msgspec.structs.replace(orders, batch_looks=number)
        case _:
            return msgspec.structs.replace(orders, words=min(number, _MOST_WORDS))
