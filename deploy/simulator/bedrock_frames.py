"""Writes AWS's event stream framing, `application/vnd.amazon.eventstream`.

    total length │ headers' length │ CRC of the two │ headers │ payload │ CRC of all before

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from zlib import crc32

_STRING = 7
"""The type of a header's value."""
_PRELUDE = 12
_CRC = 4


def event(name: str, payload: bytes) -> bytes:
    """An event with JSON."""
    return _message({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception of the service's model, as `throttlingException`."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, payload)


def error(code: str, message: str) -> bytes:
    """An error that the service's model does not know."""
    return _message({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")


def _message(headers: dict[str, str], payload: bytes) -> bytes:
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", _PRELUDE + len(head) + len(payload) + _CRC, len(head))
    unsealed = lengths + struct.pack(">I", crc32(lengths)) + head + payload
    return unsealed + struct.pack(">I", crc32(unsealed))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", _STRING, len(value)) + value
