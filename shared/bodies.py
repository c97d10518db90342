"""Where the bodies of requests and outcomes lie: small ones in the job's record, large ones in the object store.

A megabyte in Redis is held in memory, written to its log, copied to its replicas and, for an outcome, sent through
pub/sub to every process that waits. Keys:

    jobs/<id>/request           written before the job is submitted, deleted by the worker that ends it
    jobs/<id>/outcome-<fence>   written before the job is ended, deleted by the sweep when the record is gone

Save first, publish the id second: whatever dies in between, a record never speaks of a blob that was not written,
and a blob nobody speaks of is found by the sweep. The fence in an outcome's key keeps a worker that was frozen and
woke up from writing over the answer of the one that took its job.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec

from shared.errors import GatewayError, StoreError
from shared.jobs import Job, Outcome
from shared.stores.blobs import BlobMissing, Blobs

log = logging.getLogger("hermod.bodies")

PREFIX = "jobs/"
REQUEST = "request"


class Bodies:
    """Puts bodies of more than `inline_bytes` into `blobs` and gets them back."""

    def __init__(self, blobs: Blobs, inline_bytes: int) -> None:
        self.blobs = blobs
        self._inline_bytes = inline_bytes

    async def open(self) -> None:
        """Make the object store ready; one that is away is said and may come later."""
        try:
            await self.blobs.ready()
        except StoreError as error:
            log.warning("%s", error)

    async def close(self) -> None:
        """Close the object store."""
        await self.blobs.close()

    async def save_request(self, job: Job, body: bytes) -> Job:
        """The job, saying where its body is; a large one has been saved. Raises StoreError."""
        if len(body) <= self._inline_bytes:
            return job
        await self.blobs.of(job.owner).put(_request_key(job.id), body)
        return msgspec.structs.replace(job, body_blob=True)

    async def request(self, job: Job) -> bytes:
        """The body of a job with `body_blob`. Raises StoreError, or GatewayError when it was lost."""
        return await self._get(job.owner, job.id, _request_key(job.id))

    async def discard_request(self, job: Job) -> None:
        """Delete what `save_request` saved, if anything; what cannot be deleted now is left to the sweep."""
        if job.body_blob:
            await self._discard(job.id, _request_key(job.id))

    async def save_outcome(self, job: Job, fence: str, outcome: Outcome) -> Outcome:
        """The outcome with a large body saved; kept inline while the object store is away: it is paid for."""
        if len(outcome.body) <= self._inline_bytes:
            return outcome
        key = f"{PREFIX}{job.id}/outcome-{fence.replace(':', '-')}"
        try:
            await self.blobs.of(job.owner).put(key, outcome.body)
        except StoreError as error:
            log.warning("a large answer stays in Redis: %s", error, extra={"job_id": job.id})
            return outcome
        return msgspec.structs.replace(outcome, body=b"", blob=key)

    async def whole(self, owner: str, job_id: str, outcome: Outcome) -> Outcome:
        """The outcome of the owner's job with its body in it. Raises StoreError, or GatewayError when it was lost."""
        if not outcome.blob:
            return outcome
        return msgspec.structs.replace(outcome, body=await self._get(owner, job_id, outcome.blob), blob="")

    async def discard_outcome(self, job_id: str, outcome: Outcome) -> None:
        """Delete what `save_outcome` saved, if anything, as `discard_request`."""
        if outcome.blob:
            await self._discard(job_id, outcome.blob)

    async def written_before(self, before_s: float) -> AsyncIterator[tuple[str, str, bool]]:
        """Blobs last written before `before_s` (Unix seconds): key, job id, whether it is the request.

        Raises StoreError.
        """
        async for info in self.blobs.list(PREFIX):
            if info.modified_s < before_s:
                _, job_id, what = info.key.split("/", 2)
                yield info.key, job_id, what == REQUEST

    async def _get(self, owner: str, job_id: str, key: str) -> bytes:
        try:
            return await self.blobs.of(owner).get(key)
        except BlobMissing as cause:
            log.error("%s", cause, extra={"job_id": job_id})  # noqa: TRY400 - where it happened says nothing
            raise GatewayError(
                "The gateway has lost the body of this job: it is no longer in the object store.",
                code="body_lost",
                should_retry=False,
            ) from cause

    async def _discard(self, job_id: str, key: str) -> None:
        try:
            await self.blobs.delete(key)
        except StoreError as error:
            log.warning("left to the sweep: %s", error, extra={"job_id": job_id})


def _request_key(job_id: str) -> str:
    return f"{PREFIX}{job_id}/{REQUEST}"
