"""Calls to Bedrock are signed as AWS wants, verified by what AWS has published."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlsplit

import pytest

from shared.errors import AuthFailed
from shared.provider_settings import BedrockKey
from tests.unit.raw_provider import SECRET
from tests.unit.test_signing import target
from worker.routing import Target
from worker.signing import Signer
from worker.transport import Call


def verified(method: str, url: str, headers: dict[str, str], body: bytes, secret: str) -> str:
    """The signature that the headers should hold, worked out from AWS's description of Signature Version 4."""
    authorization = headers["authorization"]
    fields = dict(part.strip().split("=", 1) for part in authorization.removeprefix("AWS4-HMAC-SHA256").split(","))
    _, day, region, service, end = fields["Credential"].split("/")
    parts = urlsplit(url)
    names = fields["SignedHeaders"].split(";")
    values = {"host": parts.netloc, **headers}
    canonical = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/~"),
            "&".join(sorted(parts.query.split("&"))) if parts.query else "",
            *(f"{name}:{values[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/{service}/{end}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for piece in (day, region, service, end, text):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    assert authorization.startswith("AWS4-HMAC-SHA256 ")
    return key.hex()


def signature(headers: dict[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


def test_the_verifier_agrees_with_awss_published_example():
    """`get-vanilla` of AWS's Signature Version 4 test suite."""
    headers = {
        "x-amz-date": "20150830T123600Z",
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    }
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    assert verified("GET", "https://example.amazonaws.com/", headers, b"", secret) == signature(headers)


def bedrock(**facts) -> Target:
    return target("bedrock", bedrock=BedrockKey(region="us-east-1", **facts))


BEDROCK_CALL = Call(
    "POST",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v1%3A0/converse",
    {"content-type": "application/json"},
    b'{"messages":[]}',
    "bedrock",
    5.0,
)


async def test_a_bedrock_call_is_signed_with_method_address_time_and_body():
    signed = await Signer().sign(BEDROCK_CALL, bedrock(access_key="AKIA", secret_key=SECRET))
    assert "Credential=AKIA/" in signed.headers["authorization"]
    assert "/us-east-1/bedrock/aws4_request" in signed.headers["authorization"]
    assert verified("POST", signed.url, signed.headers, signed.body, SECRET) == signature(signed.headers)
    assert verified("POST", signed.url, signed.headers, b"another", SECRET) != signature(signed.headers)
    assert SECRET not in str(signed.headers)


async def test_temporary_credentials_send_their_token_signed():
    signed = await Signer().sign(BEDROCK_CALL, bedrock(access_key="ASIA", secret_key=SECRET, session_token="session"))
    assert signed.headers["x-amz-security-token"] == "session"
    assert "x-amz-security-token" in signed.headers["authorization"]
    assert verified("POST", signed.url, signed.headers, signed.body, SECRET) == signature(signed.headers)


async def test_what_the_machine_has_signs_for_a_bedrock_key_without_a_pair(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMACHINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    signed = await Signer().sign(BEDROCK_CALL, bedrock())
    assert "Credential=AKIAMACHINE/" in signed.headers["authorization"]
    assert verified("POST", signed.url, signed.headers, signed.body, SECRET) == signature(signed.headers)


async def test_a_machine_without_aws_credentials_says_so(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AuthFailed, match="'my-key' of bedrock cannot sign: the machine has no AWS credentials"):
        await Signer().sign(BEDROCK_CALL, bedrock())
