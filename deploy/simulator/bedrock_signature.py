"""Checks who calls Bedrock: its own key, or AWS's Signature Version 4 by a known pair.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from deploy.simulator.wires import Refusal

ACCESS_KEY = SECRET_KEY = "simulator"  # noqa: S105 - the pair that everybody knows
"""The one pair whose signatures are checked; calls signed by another are refused, as by AWS."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[^/]+)/(?P<scope>\d{{8}}/[a-z0-9-]+/(?P<service>bedrock|s3)/aws4_request), ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def check(headers: dict[str, str], _: bool) -> None:
    """Refuses a call that is neither signed nor has a key, or is signed with another secret's name (403)."""
    given = headers.get("authorization", "")
    if not given:
        raise Refusal(403, "Missing Authentication Token", code="MissingAuthenticationTokenException")
    if given.lower().startswith("bearer "):
        return
    signed = _SIGNED.fullmatch(given)
    if signed is None:
        raise Refusal(403, "The Authorization header is not well formed.", code="IncompleteSignatureException")
    if signed["key"] != ACCESS_KEY:
        raise Refusal(403, "The security token included in the request is invalid.", code="UnrecognizedClientException")


def check_signature(path: str, headers: dict[str, str], body: bytes, method: str = "POST", query: str = "") -> None:
    """Refuses a call whose signature is not its own (403). Paths of S3 are signed as they are sent."""
    signed = _SIGNED.fullmatch(headers.get("authorization", ""))
    if signed is None:
        return
    names = signed["headers"].split(";")
    kept = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names)
    path = path if signed["service"] == "s3" else quote(path)
    query = "&".join(sorted(query.split("&")))
    asked = "\n".join((method, path, query, kept, signed["headers"], hashlib.sha256(body).hexdigest()))
    text = "\n".join((_ALGORITHM, headers.get("x-amz-date", ""), signed["scope"], _digest(asked)))
    key = f"AWS4{SECRET_KEY}".encode()
    for step in signed["scope"].split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signed["signature"]):
        raise Refusal(
            403,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method.",
            code="InvalidSignatureException",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
