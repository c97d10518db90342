"""What an upload asks for on each surface: purpose, expiry, and how large it may be. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from api.forms import MIB, Terms
from shared.errors import InvalidRequest

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
USUAL_PURPOSE = "user_data"
BATCH = "batch"

DAY_S = 86_400
SHORTEST_S = 3600
ANTHROPIC_LONGEST_S = 90 * DAY_S
OPENAI_LONGEST_S = 30 * DAY_S
BATCH_EXPIRES_S = 30 * DAY_S
ANCHOR = "created_at"


class FileLimits(msgspec.Struct, frozen=True):
    """The most bytes of a file: the vendors' limits, or what the operator has set.

    Attributes:
        anthropic: on Anthropic's surface.
        openai: on OpenAI's, in one request.
        in_parts: there, by `/uploads`.
        batch: there, in either way with the purpose `batch`.
    """

    anthropic: int = 500 * MIB
    openai: int = 512 * MIB
    in_parts: int = 8 * 1024 * MIB
    batch: int = 200 * MIB

    @classmethod
    def of(cls, max_file_mb: int) -> FileLimits:
        """Those of `client.max_file_mb`: no batch takes more than 200 MB of lines."""
        if not max_file_mb:
            return cls()
        most = max_file_mb * MIB
        return cls(most, most, most, min(most, cls().batch))

    def anthropic_terms(self, fields: Mapping[str, str], *, whole: bool) -> Terms:  # noqa: ARG002 - none is required
        """From `expires_in_seconds` and OpenAI's `purpose`, which may be given here too. Raises InvalidRequest."""
        purpose = check_purpose(fields.get("purpose", USUAL_PURPOSE))
        name = "expires_in_seconds"
        expires_s = check_seconds(name, _number(fields[name]), ANTHROPIC_LONGEST_S) if name in fields else None
        return Terms(self.anthropic, purpose, expires_s)

    def openai_terms(self, fields: Mapping[str, str], *, whole: bool) -> Terms:
        """From `purpose` and `expires_after`. Raises InvalidRequest."""
        anchor, name = "expires_after[anchor]", "expires_after[seconds]"
        check_anchor(anchor, fields.get(anchor, ANCHOR))
        if whole and anchor in fields and name not in fields:
            raise InvalidRequest(f"{name}: missing beside {anchor}.", param=name)
        if whole and "purpose" not in fields:
            raise InvalidRequest(f"purpose: missing; expected one of {', '.join(PURPOSES)}.", param="purpose")
        purpose = check_purpose(fields.get("purpose", USUAL_PURPOSE))
        expires_s = (
            check_seconds(name, _number(fields[name]), OPENAI_LONGEST_S) if name in fields else usual_expiry(purpose)
        )
        return Terms(self.batch if purpose == BATCH else self.openai, purpose, expires_s)


def usual_expiry(purpose: str) -> int | None:
    """Seconds after which a file of that purpose expires on OpenAI's surface when the client names no time."""
    return BATCH_EXPIRES_S if purpose == BATCH else None


def check_purpose(purpose: str) -> str:
    """The purpose itself. Raises InvalidRequest."""
    if purpose not in PURPOSES:
        raise InvalidRequest(f"purpose: expected one of {', '.join(PURPOSES)}, got {purpose[:40]!r}.", param="purpose")
    return purpose


def check_anchor(name: str, anchor: str) -> None:
    """Raises InvalidRequest for another moment than the file's creation."""
    if anchor != ANCHOR:
        raise InvalidRequest(f"{name}: expected {ANCHOR!r}, got {anchor[:40]!r}.", param=name)


def check_seconds(name: str, seconds: int | None, longest: int) -> int:
    """The seconds themselves; None is no number. Raises InvalidRequest."""
    if seconds is None or not SHORTEST_S <= seconds <= longest:
        raise InvalidRequest(f"{name}: expected whole seconds from {SHORTEST_S} to {longest}.", param=name)
    return seconds


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004 - over any limit
