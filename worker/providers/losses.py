"""What a wire cannot express: harmless fields are collected for the client, others are refused by name."""

from __future__ import annotations

import re

import msgspec

from shared.chat import ChatRequest, Foreign
from shared.errors import InvalidRequest, Unsupported

HARMLESS = frozenset(
    {
        "cache_control",
        "citations",  # on text: of an earlier answer, echoed; a document that asks for citations is refused
        "client_metadata",
        "defer_loading",
        "detail",  # of a file: how its pages are rendered
        "diagnostics",
        "display",
        "echo",  # what a message of the assistant's has beside what it says, from the answer it was
        "eager_input_streaming",
        "function_field",  # what frameworks write beside a function's definition for their own use
        "input_examples",
        "metadata",
        "output_schema",
        "prompt_cache_breakpoint",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning.context",
        "reasoning.generate_summary",
        "reasoning.summary",
        "safety_identifier",
        "service_tier",
        "speed",
        "store",
        "stream_options",
        "user",
        "verbosity",
    }
)
"""Fields that change cost, speed or book-keeping, that describe, or that wish for a style; never what is answered."""

_UNSAFE = re.compile(r"[^\w.\[\]-]", re.ASCII)
_MAX_NAME = 100
"""Characters of a reported name: it goes into a header, and may hold a key that the client made up."""


class _Edit(msgspec.Struct):
    type: str = ""


class _ContextManagement(msgspec.Struct):
    edits: list[_Edit] = []


_CONTEXT_MANAGEMENT = msgspec.json.Decoder(_ContextManagement)


class Losses:
    """What is left out of one request, the first of each kind, and the errors for what cannot be left out.

    Paths are canonical, as in `stop` or `messages.2.content.0`; the client is told its own.
    """

    def __init__(self, provider: str, request: ChatRequest) -> None:
        self._provider = provider
        self._paths = request.paths
        self._names: dict[str, str] = {}

    def drop(self, path: str, kind: str = "") -> None:
        """Leave out what stands at `path` and report it, unless one of its `kind` (else `path` itself) was before."""
        self._report(kind or path, self._own(path))

    def drop_field(self, field: Foreign) -> None:
        """Leave a field of another wire out.

        Raises:
            Unsupported: it is not harmless.
        """
        kind = "metadata" if field.path.startswith("metadata.") else field.kind
        if kind not in HARMLESS and not _clears_thinking_only(field):
            raise self.refuse_foreign(field)
        self._report(kind, field.path)

    def refuse(self, path: str, why: str) -> Unsupported:
        """The error for something that cannot be expressed and that the caller relies on."""
        return self._unsupported(self._own(path), why)

    def refuse_foreign(self, field: Foreign) -> Unsupported:
        """The error for a part or field of another wire; its path is the client's already."""
        why = f"{self._provider} cannot express {field.kind[:50]!r}; leave it out or choose another provider."
        # Anthropic's tool runner falls back to sending the whole history upon this very code.
        code = "thread_unsupported_request" if field.path == "thread" else "unsupported_field"
        return self._unsupported(field.path, why, code)

    def invalid(self, path: str, why: str) -> InvalidRequest:
        """The error for something that no provider of this wire could take."""
        own = self._own(path)
        return InvalidRequest(f"{own}: {why}", param=own)

    def drop_chance(self, request: ChatRequest) -> None:
        """Leave out seed and penalties, which steer chance; without them the answer is as good."""
        if request.seed is not None:
            self.drop("seed")
        if request.presence_penalty:
            self.drop("presence_penalty")
        if request.frequency_penalty:
            self.drop("frequency_penalty")

    def names(self) -> tuple[str, ...]:
        """What was left out, in order."""
        return tuple(self._names.values())

    def _report(self, kind: str, own: str) -> None:
        self._names.setdefault(kind, _UNSAFE.sub("?", own)[:_MAX_NAME])

    def _unsupported(self, own: str, why: str, code: str = "unsupported_field") -> Unsupported:
        return Unsupported(f"{own}: {why}", param=own, code=code)

    def _own(self, path: str) -> str:
        """The client's path: that of the nearest enclosing thing the dialect has told of, and the rest as it is."""
        head, rest = path, ""
        while head:
            if head in self._paths:
                return self._paths[head] + rest
            head, _, last = head.rpartition(".")
            rest = f".{last}{rest}"
        return path


def _clears_thinking_only(field: Foreign) -> bool:
    """Context management that asks for no more than what happens anyway: thinking never goes to another provider."""
    if field.path != "context_management":
        return False
    try:
        edits = _CONTEXT_MANAGEMENT.decode(field.raw).edits
    except msgspec.DecodeError:
        return False
    return all(edit.type.startswith("clear_thinking_") for edit in edits)
