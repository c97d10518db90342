"""Ids and the clock they are stamped with."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid


def job_id() -> str:
    """A UUIDv4: Bifrost's clients check the form, and its 122 random bits cannot be guessed."""
    return str(uuid.uuid4())


def named(prefix: str, uuid_text: str) -> str:
    """A UUID as a surface shows it: `resp_`, `file-`, `file_`, `batch_` or `msgbatch_` and its 32 hex digits."""
    return prefix + uuid_text.replace("-", "")


def uuid_of(shown: str) -> str:
    """The UUID in what `named` made, or a UUID itself; what is neither comes back as it is and leads nowhere."""
    try:
        return str(uuid.UUID(shown.removeprefix(shown[:-32])))
    except ValueError:
        return shown


def response_id(job_id: str) -> str:
    """The id of a job's answer on the Responses surface, where clients ask for it again."""
    return named("resp_", job_id)


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
