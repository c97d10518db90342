"""What this wire cannot express: harmless fields are collected for the client, others refused by name."""

from __future__ import annotations

from collections.abc import Iterable

from shared.chat import Foreign
from shared.errors import Unsupported

_HARMLESS = frozenset(
    {
        "cache_control",
        "client_metadata",
        "metadata",
        "prompt_cache_breakpoint",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream_options",
        "user",
        "verbosity",
    }
)
"""Fields of other wires that change cost, speed or book-keeping, or are a wish about style; never what is answered."""


class Losses:
    """Harmless fields that are left out of one request, each name once."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._names: dict[str, None] = {}

    def drop(self, name: str) -> None:
        """Leave `name` out and report it."""
        self._names[name] = None

    def drop_all(self, foreign: Iterable[Foreign]) -> None:
        """Leave top-level fields of another wire out.

        Raises:
            Unsupported: one of them is not harmless.
        """
        for field in foreign:
            if field.kind not in _HARMLESS:
                raise self.refuse(field.path)
            self.drop(field.path)

    def refuse(self, path: str, why: str = "") -> Unsupported:
        """The error for a field that cannot be expressed and that the caller relies on."""
        reason = why or f"{self._provider} cannot express this field; leave it out or choose another provider."
        return Unsupported(f"{path}: {reason}", param=path, code="unsupported_field")

    def names(self) -> tuple[str, ...]:
        """What was left out, in order."""
        return tuple(self._names)
