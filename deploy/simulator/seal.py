"""The sealed thoughts that the Responses API hands out and takes back: it stores nothing, so they carry themselves.

A stand-in for the vendor's encryption: what matters to a caller is that a seal of another maker is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

_HEAD = "gAAAAAB"
"""The vendor's begin alike."""
_SECRET = b"openai-simulator:"
_DIGEST_BYTES = 32


def seal(thought: str) -> str:
    """The `encrypted_content` of a thought."""
    text = thought.encode()
    return _HEAD + base64.urlsafe_b64encode(_digest(text) + text).decode()


def is_sealed(content: str) -> bool:
    """Whether `seal` made it."""
    try:
        whole = base64.urlsafe_b64decode(content.removeprefix(_HEAD))
    except (binascii.Error, ValueError):
        return False
    return content.startswith(_HEAD) and whole[:_DIGEST_BYTES] == _digest(whole[_DIGEST_BYTES:])


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(_SECRET + text).digest()
