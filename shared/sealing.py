"""Whether what callers send and get lies in Redis readable or under a key.

A seal closes a value for an owner and a place and opens it again: bytes in, bytes out. Without keys it is CLEAR, which
hands back what it was given, so that nobody who writes or reads has to ask whether there are keys. What is sealed and
what scripts must read is listed in the README, "What lies where".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.errors import GatewayError


class Seal(Protocol):
    """Closes and opens values. The empty value stays empty: there is nothing in it.

    A place is a word for the kind of value (told in errors) and what makes it this one: ids, a number.
    """

    def close(self, owner: str, value: bytes, *place: object) -> bytes:
        """The value as it may be stored."""

    def open(self, owner: str | None, value: bytes, *place: object) -> bytes:
        """What was closed for `owner`, None for whoever's it is, at this very place.

        Raises:
            GatewayError: `value_unreadable`: its key is no longer listed, or it was touched or put elsewhere.
        """

    def close_text(self, owner: str, text: str, *place: object) -> str:
        """`close` for what lies among what scripts read, which know no bytes but text."""

    def open_text(self, owner: str, text: str, *place: object) -> str:
        """What `close_text` has closed. Raises as `open` does."""


class Clear:
    """No seal at all."""

    def close(self, owner: str, value: bytes, *place: object) -> bytes:  # noqa: ARG002 - see Seal
        """See Seal."""
        return value

    def open(self, owner: str | None, value: bytes, *place: object) -> bytes:  # noqa: ARG002 - see Seal
        """See Seal."""
        return value

    def close_text(self, owner: str, text: str, *place: object) -> str:  # noqa: ARG002 - see Seal
        """See Seal."""
        return text

    def open_text(self, owner: str, text: str, *place: object) -> str:  # noqa: ARG002 - see Seal
        """See Seal."""
        return text


CLEAR = Clear()


def open_seal(keys: Sequence[bytes]) -> Seal:
    """The seal of these keys, each of 32 bytes: the first closes, all open; CLEAR without any."""
    if not keys:
        return CLEAR
    from shared.stores.envelopes import Envelopes  # noqa: PLC0415 - 20 ms and 4 MB that others do not need

    return Envelopes(keys)


def close_each(seal: Seal, owner: str, texts: dict[str, str], *place: object) -> dict[str, str]:
    """The same names with closed texts, each in a place of its own."""
    return {name: seal.close_text(owner, text, *place, name) for name, text in texts.items()}


def open_each(seal: Seal, owner: str, texts: dict[str, str], *place: object) -> dict[str, str]:
    """What `close_each` has closed. Raises as `Seal.open` does."""
    return {name: seal.open_text(owner, text, *place, name) for name, text in texts.items()}


def unreadable(what: str, why: str, code: str) -> GatewayError:
    """What is stored and cannot be read, however often it is asked for."""
    message = f"The gateway cannot read {what} with encryption.keys: {why}."
    return GatewayError(message, code=code, should_retry=False)


NOT_SEALED = "it is not encrypted, or is nothing of ours"
UNKNOWN_KEY = "it was encrypted with a key that is not listed there"
TOUCHED = "it was changed, cut, or is another's"
