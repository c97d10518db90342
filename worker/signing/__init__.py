"""Signs the calls of keys that are no header of their own: Google's and Entra's tokens, AWS's signature.

    vertex    OAuth, from `auth_credentials` or what the machine has (application default credentials)
    azure     Entra, from `client_id`, `client_secret` and `tenant_id`
    bedrock   Signature Version 4, from `access_key` and `secret_key` or what the machine has

A key with a `value` is a header that its adapter has set; nothing is added to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.errors import AuthFailed, ProviderError, Unreachable
from shared.provider_settings import AzureKey, VertexKey
from worker.routing import Target
from worker.signing.token import Away, Refused, Token
from worker.transport import Call

if TYPE_CHECKING:
    from worker.signing.aws import Aws


class Signer:
    """Signs for all keys of a worker.

    The vendors' libraries are loaded by the first key that needs one: half a second and 15 MB that most workers save.
    """

    def __init__(self) -> None:
        self._tokens: dict[VertexKey | AzureKey, Token] = {}
        self._aws: Aws | None = None

    async def sign(self, call: Call, target: Target) -> Call:
        """The call with what its key demands; the call itself when that is nothing.

        Raises:
            AuthFailed: the key cannot sign, or is refused a token.
            Unreachable: who gives the token cannot be reached; the provider has not been asked.
        """
        key = target.key
        if key.value:
            return call
        try:
            if key.vertex is not None:
                return _bearing(call, await self._token(key.vertex).value())
            if key.azure is not None and key.azure.client_id is not None:
                return _bearing(call, await self._token(key.azure).value())
            if key.bedrock is not None:
                if self._aws is None:
                    self._aws = await asyncio.to_thread(_aws)
                return await self._aws.signed(call, key.bedrock)
        except (Refused, Away) as cause:
            raise _ours(cause, target) from cause
        return call

    def _token(self, key: VertexKey | AzureKey) -> Token:
        if key not in self._tokens:
            self._tokens[key] = Token(lambda: _google(key) if isinstance(key, VertexKey) else _entra(key))
        return self._tokens[key]


def _bearing(call: Call, token: str) -> Call:
    return replace(call, headers={**call.headers, "authorization": f"Bearer {token}"})


def _ours(cause: Refused | Away, target: Target) -> ProviderError:
    name = target.row.name
    if isinstance(cause, Away):
        message = f"Who gives tokens for key {target.key.name!r} of {name} cannot be reached."
        return Unreachable(message, provider=name, sent=False)
    return AuthFailed(f"Key {target.key.name!r} of {name} cannot sign: {cause}.", provider=name)


def _google(key: VertexKey) -> tuple[str, float]:
    from worker.signing.google import token  # noqa: PLC0415 - see Signer

    return token(key)


def _entra(key: AzureKey) -> tuple[str, float]:
    from worker.signing.entra import token  # noqa: PLC0415 - see Signer

    return token(key)


def _aws() -> Aws:
    from worker.signing.aws import Aws  # noqa: PLC0415 - see Signer

    return Aws()
