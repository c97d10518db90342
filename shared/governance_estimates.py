"""What a call may come to before it is made, and the bytes that reserve it. Pure.

From the size of the body, the limit it sets to the answer, and the price; what it came to corrects it. Whoever submits
works it out for a call that somebody waits for, so that the claim can reserve it in the same step; the worker works it
out again, for it alone knows who will be asked, and takes what was reserved only when that is the very same.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from shared.chat import Usage
from shared.governance_meters import COST, TOKENS, Limits
from shared.jobs import Job
from shared.lanes import Lane

USUAL_OUTPUT = 4096
"""Output tokens reserved for a request that names no limit of its own."""
MOST_INPUT = 200_000
"""Most input tokens reserved: a larger body is images and files, which cost a fraction of their bytes."""
BYTES_A_TOKEN = 4
FREE = frozenset({"count_tokens", "models"})
"""Operations nobody charges for; they count as requests."""
AHEAD_BYTES = 65_536
"""Largest body that is estimated when it is submitted: beyond, its call takes far longer than to reserve it."""

_pack = msgspec.msgpack.Encoder().encode


class _Most(msgspec.Struct):
    """Where the dialects say how long the answer may be; what cannot be read is the adapter's to refuse."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None


_read_most = msgspec.json.Decoder(_Most).decode


class Estimate(msgspec.Struct, frozen=True):
    """What a call may come to: nano-USD and tokens at most, and of its input alone."""

    cost: int
    tokens: int
    input_cost: int
    input_tokens: int

    def amounts(self, kind: str) -> tuple[int, int]:
        """What a meter of this kind holds, and what it is charged when nobody can know."""
        if kind == COST:
            return self.cost, self.input_cost
        return (self.tokens, self.input_tokens) if kind == TOKENS else (1, 0)


def estimate(operation: str, body: bytes, cost_of: Callable[[Usage], int | None]) -> Estimate:
    """`cost_of`: nano-USD, None where the price is unknown, which is reserved as nothing."""
    if operation in FREE:
        return Estimate(0, 0, 0, 0)
    sent = Usage(input_tokens=min(len(body) // BYTES_A_TOKEN, MOST_INPUT))
    both = msgspec.structs.replace(sent, output_tokens=_most_output(operation, body))
    return Estimate(cost_of(both) or 0, tokens_of(both), cost_of(sent) or 0, tokens_of(sent))


def tokens_of(usage: Usage) -> int:
    """What the windows of tokens count."""
    return usage.total_input_tokens + usage.output_tokens


def hold(limits: Limits, of: Estimate) -> bytes:
    """What the scripts reserve: the meters, and for each the estimate's amounts."""
    return _pack((limits.meters, [of.amounts(meter.kind) for meter in limits.meters]))


def hold_ahead(limits: Limits | None, job: Job, body: bytes, cost_of: Callable[[Usage], int | None]) -> bytes:
    """What the first claim of a job reserves; empty when that is left to the worker.

    It is for what nobody hurries about, and for what the response cache may have after all.
    """
    if limits is None or job.lane is not Lane.INTERACTIVE or job.cache is not None or len(body) > AHEAD_BYTES:
        return b""
    return hold(limits, estimate(job.operation, body, cost_of))


def _most_output(operation: str, body: bytes) -> int:
    if operation == "embeddings":
        return 0
    try:
        most = _read_most(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return USUAL_OUTPUT
    named = (most.max_completion_tokens, most.max_output_tokens, most.max_tokens)
    return next((max(number, 0) for number in named if number is not None), USUAL_OUTPUT)
