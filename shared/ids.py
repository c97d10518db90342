"""Ids and the clock they are stamped with."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid


def job_id() -> str:
    """A UUIDv4: Bifrost's clients check the form, and its 122 random bits cannot be guessed."""
    return str(uuid.uuid4())


def response_id(job_id: str) -> str:
    """The id of a job's answer on the Responses surface, where clients ask for it again: `resp_` and 32 hex digits."""
    return "resp_" + job_id.replace("-", "")


def job_of(response_id: str) -> str:
    """The job behind a response's id, or behind its own; what is neither is returned and leads nowhere."""
    try:
        return str(uuid.UUID(response_id.removeprefix("resp_")))
    except ValueError:
        return response_id


def request_id() -> str:
    """The vendor's request-id header, e.g. `req_5f0c…`."""
    return "req_" + secrets.token_hex(12)


def digest(*parts: bytes) -> str:
    """SHA-256 over length-prefixed parts, so that no two lists of parts collide."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return sha.hexdigest()


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
