"""Claude as Vertex AI serves it: the model in the path, the version in the body, Google's credential.

https://docs.anthropic.com/en/api/claude-on-vertex-ai
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

from deploy.simulator import anthropic_request
from deploy.simulator.wires import Question, Refusal

PATH = re.compile(
    r"/vertex/v1/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/(?P<model>[^/:]+):(?P<verb>raw|streamRaw)Predict"
)
COUNT = "count-tokens"

_VERSION = b'"vertex-2023-10-16"'
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def check(headers: dict[str, str], _: bool) -> None:
    """Refuses a call without Google's token or key (401)."""
    if not headers.get("x-goog-api-key") and not headers.get("authorization", "").lower().startswith("bearer "):
        raise Refusal(401, "Request is missing required authentication credential.")


def read(raw: bytes, headers: dict[str, str], *, model: str, verb: str) -> Question:
    """The question in a body of `rawPredict` or `streamRawPredict`."""
    fields = _fields(raw)
    if "model" in fields:
        raise Refusal(400, "model: Extra inputs are not permitted")
    if (bytes(fields.get("stream", Raw())) == b"true") != (verb == "streamRaw"):
        raise Refusal(400, "stream: must be true with streamRawPredict, and with it only")
    return anthropic_request.read(_encode({**fields, "model": Raw(_encode(model))}), headers)


def read_count(raw: bytes, headers: dict[str, str]) -> Question:
    """The question in a body of `count-tokens`, which names the model."""
    return anthropic_request.read_count(_encode(_fields(raw)), headers)


def _fields(raw: bytes) -> dict[str, Raw]:
    """The body without its version, which must be there."""
    try:
        fields = _FIELDS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "The request body is not valid JSON") from error
    if bytes(fields.pop("anthropic_version", Raw())) != _VERSION:
        raise Refusal(400, "anthropic_version: Field required")
    return fields
