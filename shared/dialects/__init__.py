"""Client wire formats to and from the canonical form; pure."""

from __future__ import annotations

from shared.dialects.anthropic import ANTHROPIC
from shared.dialects.base import Dialect
from shared.dialects.openai_chat import OPENAI_CHAT

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (ANTHROPIC, OPENAI_CHAT)}
"""By name, as a job carries it."""
