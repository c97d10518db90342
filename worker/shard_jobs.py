"""The jobs that advance a batch, as they stand in line: what each is for, and how it is made."""

from __future__ import annotations

import msgspec

from shared.batches import NATIVE, SHARD, START, Batch
from shared.ids import now_ms, request_id
from shared.jobs import Job
from shared.lanes import Lane
from shared.traces import current
from worker.lease import Lease

KEPT_S = 600
"""How long the job of a shard is remembered once it has ended."""


class ShardJob(msgspec.Struct, frozen=True, array_like=True):
    """The body of a shard's job.

    Attributes:
        batch_id: UUID.
        number: of the shard, from 0.
        cap: the most items its owner may have running; 0 for no limit of its own.
        weight: the owner's.
        rest: only those of its items that run at no batch API.
    """

    batch_id: str
    number: int
    cap: int
    weight: float = 1.0
    rest: bool = False


class NativeJob(msgspec.Struct, frozen=True, array_like=True):
    """The body of the job of a group.

    Attributes:
        batch_id: UUID.
        number: of the group, from 0.
        weight, cap: its shards', as a ShardJob's.
    """

    batch_id: str
    number: int
    weight: float
    cap: int


pack = msgspec.msgpack.Encoder().encode
unpack_shard = msgspec.msgpack.Decoder(ShardJob).decode
unpack_native = msgspec.msgpack.Decoder(NativeJob).decode


def batch_id_of(lease: Lease) -> str:
    """Of the batch that the leased job is for."""
    if lease.job.operation == SHARD:
        return unpack_shard(lease.body).batch_id
    if lease.job.operation == NATIVE:
        return unpack_native(lease.body).batch_id
    return lease.id if lease.job.operation == START else lease.body.decode()


def job_of(batch: Batch, operation: str, job_id: str, owner: str, lane: Lane) -> Job:
    """A job of the batch, in the line of `owner`."""
    now = now_ms()
    return Job(
        id=job_id,
        owner=owner,
        dialect=batch.dialect,
        operation=operation,
        model="",
        request_id=request_id(),
        created_ms=now,
        ttl_s=KEPT_S,
        deadline_ms=batch.expires_ms,
        lane=lane,
        trace=current(),
    )
