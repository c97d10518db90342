"""AWS's Signature Version 4, through botocore.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from __future__ import annotations

import asyncio

import botocore.auth  # type: ignore[import-untyped]
import botocore.awsrequest  # type: ignore[import-untyped]
import botocore.credentials  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from msgspec.structs import replace

from shared.provider_settings import BedrockKey
from worker.signing.token import Refused
from worker.transport import Call

SERVICE = "bedrock"


class Aws:
    """Signs with a key's credentials, or with what the machine has: a profile, a role of the pod or the instance."""

    def __init__(self) -> None:
        self._machine: botocore.credentials.Credentials | None = None

    async def signed(self, call: Call, key: BedrockKey) -> Call:
        """The call with its signature, which covers method, URL, time and body. Raises Refused."""
        if key.access_key is not None:
            return signed(
                call, botocore.credentials.Credentials(key.access_key, key.secret_key, key.session_token), key
            )
        return signed(call, await asyncio.to_thread(self._frozen), key)

    def _frozen(self) -> botocore.credentials.ReadOnlyCredentials:
        """What the machine has, refreshed if need be. Blocks."""
        try:
            if self._machine is None:
                self._machine = botocore.session.get_session().get_credentials()
            if self._machine is None:
                raise Refused("the machine has no AWS credentials, and the key no access_key")
            return self._machine.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise Refused(f"the machine's AWS credentials cannot be had ({type(error).__name__})") from error


def signed(call: Call, credentials: botocore.credentials.Credentials, key: BedrockKey) -> Call:
    """The call with the headers of its signature; what goes to the key's bucket is signed for S3."""
    request = botocore.awsrequest.AWSRequest(method=call.method, url=call.url, data=call.body)
    if key.batch is not None and call.url.startswith(f"{key.batch.endpoint}/{key.batch.bucket_name}/"):
        botocore.auth.S3SigV4Auth(credentials, "s3", key.region).add_auth(request)
    else:
        botocore.auth.SigV4Auth(credentials, SERVICE, key.region).add_auth(request)
    return replace(call, headers={**call.headers, **{name.lower(): value for name, value in request.headers.items()}})
