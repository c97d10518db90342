"""What Chat Completions cannot express: harmless fields are collected for the client, others refused by name."""

from __future__ import annotations

import msgspec

from shared.chat import Foreign
from shared.errors import Unsupported

_HARMLESS = frozenset(
    {
        "cache_control",
        "citations",  # on text: an echo of an earlier answer; a document that asks for citations is refused
        "defer_loading",
        "diagnostics",
        "display",
        "eager_input_streaming",
        "input_examples",
        "metadata",
        "service_tier",
        "speed",
    }
)
"""Fields of other wires that change cost, speed or book-keeping, or describe; never what is answered."""


class _Edit(msgspec.Struct):
    type: str = ""


class _ContextManagement(msgspec.Struct):
    edits: list[_Edit] = []


_CONTEXT_MANAGEMENT = msgspec.json.Decoder(_ContextManagement)


class Losses:
    """Harmless fields that are left out of one request, each name once."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._names: dict[str, None] = {}

    def drop(self, name: str) -> None:
        """Leave `name` out and report it."""
        self._names[name] = None

    def drop_field(self, field: Foreign) -> None:
        """Leave a field of another wire out.

        Raises:
            Unsupported: it is not harmless.
        """
        inside_metadata = field.path.startswith("metadata.")
        if field.kind not in _HARMLESS and not inside_metadata and not _clears_thinking_only(field):
            raise self.refuse_foreign(field)
        self.drop(field.path)

    def refuse(self, path: str, why: str = "", code: str = "unsupported_field") -> Unsupported:
        """The error for something that cannot be expressed and that the caller relies on."""
        reason = why or f"{self._provider} cannot express this; leave it out or choose another provider."
        return Unsupported(f"{path}: {reason}", param=path, code=code)

    def refuse_foreign(self, field: Foreign) -> Unsupported:
        """The error for a part or field of another wire."""
        if field.path == "thread":
            # Anthropic's tool runner falls back to sending the whole history upon this very code.
            return self.refuse(field.path, code="thread_unsupported_request")
        why = f"{self._provider} cannot express {field.kind!r}; leave it out or choose another provider."
        return self.refuse(field.path, why)

    def names(self) -> tuple[str, ...]:
        """What was left out, in order."""
        return tuple(self._names)


def _clears_thinking_only(field: Foreign) -> bool:
    """Context management that asks for no more than what happens anyway: thinking never goes to another provider."""
    if field.path != "context_management":
        return False
    try:
        edits = _CONTEXT_MANAGEMENT.decode(field.raw).edits
    except msgspec.DecodeError:
        return False
    return all(edit.type.startswith("clear_thinking_") for edit in edits)
