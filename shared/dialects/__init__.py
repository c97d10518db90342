"""Client wire formats to and from the canonical form; pure."""

from __future__ import annotations

from shared.dialects.anthropic import ANTHROPIC
from shared.dialects.base import Dialect
from shared.dialects.openai_chat import OPENAI_CHAT
from shared.dialects.openai_responses import OPENAI_RESPONSES

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (ANTHROPIC, OPENAI_CHAT, OPENAI_RESPONSES)}
"""By name, as a job carries it."""
