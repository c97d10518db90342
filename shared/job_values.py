"""What of a job is content, as its record, its event stream and the notices of its end hold it: under the owner's seal.

Nobody else packs or unpacks these, so that none lies in Redis otherwise than this. What is in the clear beside them,
for scripts to read, is the rest of the spec and the fields that `shared/queue.py` lists. The gateway's own jobs (steps
of batches, deliveries) have bodies that only name what they are about, some of them written by scripts: these are in
the clear too.
"""

from __future__ import annotations

import msgspec

from shared.batches import OPERATIONS
from shared.errors import GatewayError
from shared.jobs import Attempt, Job, Notice, Outcome, State
from shared.sealing import Seal, close_each, open_each
from shared.webhook_scripts import WEBHOOK

_OWN = OPERATIONS | {WEBHOOK}
_REQUEST, _ATTEMPTS, _ANSWER, _PIECE = "request", "attempts", "answer", "piece"
_HEADER = "forwarded header"


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A Notice on its way: `data` is the piece, or with seq 0 the outcome, each as Redis keeps it."""

    job_id: str
    seq: int
    data: bytes
    state: State | None


_packer = msgspec.msgpack.Encoder()
pack = _packer.encode
unpack_job = msgspec.msgpack.Decoder(Job).decode
unpack_told = msgspec.msgpack.Decoder(Told).decode
_unpack_outcome = msgspec.msgpack.Decoder(Outcome).decode
_unpack_attempts = msgspec.msgpack.Decoder(tuple[Attempt, ...]).decode


class JobValues:
    """Packs and unpacks; what is read raises GatewayError when the seal cannot be opened."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._close = seal.close
        self._open = seal.open

    def spec(self, job: Job) -> bytes:
        """A job as the record holds it: what its caller forwards may be secrets, but their names are not."""
        if not job.headers:
            return pack(job)
        closed = close_each(self._seal, job.owner, job.headers, _HEADER, job.id)
        return pack(msgspec.structs.replace(job, headers=closed))

    def read_headers(self, job: Job) -> dict[str, str]:
        """The forwarded headers of a job that was unpacked from its record."""
        return open_each(self._seal, job.owner, job.headers, _HEADER, job.id)

    def request(self, job: Job, body: bytes) -> bytes:
        """A body as the record holds it."""
        return body if job.operation in _OWN else self._close(job.owner, body, _REQUEST, job.id)

    def read_request(self, job: Job, stored: bytes) -> bytes:
        """The body."""
        return stored if job.operation in _OWN else self._open(job.owner, stored, _REQUEST, job.id)

    def attempts(self, owner: str, job_id: str, attempts: tuple[Attempt, ...]) -> bytes:
        """Attempts as the record holds them: a provider's words about a request may quote it."""
        return self._close(owner, pack(attempts), _ATTEMPTS, job_id)

    def read_attempts(self, job: Job, stored: bytes | None) -> tuple[Attempt, ...]:
        """The attempts so far."""
        return _unpack_attempts(self._open(job.owner, stored, _ATTEMPTS, job.id)) if stored else ()

    def listed_attempts(self, job: Job, stored: bytes | None) -> tuple[Attempt, ...]:
        """The same for a listing, which one job that cannot be read must not spoil: none of that."""
        try:
            return self.read_attempts(job, stored)
        except GatewayError:
            return ()

    def outcome(self, owner: str, job_id: str, outcome: Outcome) -> bytes:
        """An outcome as the record holds it."""
        return self._close(owner, pack(outcome), _ANSWER, job_id)

    def read_outcome(self, job: Job, stored: bytes | None) -> Outcome | None:
        """The outcome, once there is one."""
        return _unpack_outcome(self._open(job.owner, stored, _ANSWER, job.id)) if stored else None

    def piece(self, owner: str, job_id: str, seq: int, data: bytes) -> bytes:
        """A piece of an event stream as Redis keeps it."""
        return self._close(owner, data, _PIECE, job_id, seq)

    def read_pieces(self, owner: str, job_id: str, entries: list[tuple[bytes, list[bytes]]]) -> list[tuple[int, bytes]]:
        """Entries of an event stream of the owner's job as (number, SSE bytes)."""
        pieces = [(int(entry_id.split(b"-")[0]), fields[1]) for entry_id, fields in entries]
        return [(number, self._open(owner, data, _PIECE, job_id, number)) for number, data in pieces]

    def read_notice(self, owner: str, told: Told) -> Notice:
        """What `notice` has packed about the owner's job."""
        if told.seq:
            return Notice(told.job_id, told.seq, self._open(owner, told.data, _PIECE, told.job_id, told.seq))
        outcome = _unpack_outcome(self._open(owner, told.data, _ANSWER, told.job_id))
        return Notice(told.job_id, 0, outcome=outcome, state=told.state)


def notice(job_id: str, seq: int, stored: bytes, state: State | None = None) -> bytes:
    """A notice for those who wait: `stored` is the piece of that number, or with 0 the outcome, as Redis keeps it."""
    return pack(Told(job_id, seq, stored, state))
