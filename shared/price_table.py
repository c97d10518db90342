"""List prices of models, in US dollars per million tokens: the standard tier, no taxes, rebates or fees for tools.

Taken in November 2026 from tables that others keep in public (pydantic/genai-prices, simonw/llm-prices, BerriAI/litellm
and price lists of single projects), not from the vendors' own pages, which may have changed since. Most rows stand
alike in several of them. These may rest on one alone: gpt-5.2-pro, gemini-3.1-pro-preview, gemini-3-flash-preview,
mistral-medium-2508, codestral-2508, and of the prices of long prompts those of gpt-5.4, gpt-5.5 and Gemini 3. Where the
tables contradict each other, as on DeepSeek, whose prices follow the time of day, a model is not listed: its cost is
unknown, never guessed. All input counts as text, though Gemini's models charge more for audio.
`prices` and `governance.pricing_overrides` of config.json add to the table and correct it.
"""

from __future__ import annotations

from typing import TypeAlias

Row: TypeAlias = tuple[float, float | None, float]
"""Input, input that was read from a cache (None: as any other), output."""

ANTHROPIC: dict[str, Row] = {
    "claude-fable-5-1": (10, 0.25, 50),
    "claude-fable-5": (10, 1, 50),
    "claude-opus-5-5": (4, 0.2, 20),
    "claude-opus-5": (5, 0.5, 25),
    "claude-opus-4-8": (5, 0.5, 25),
    "claude-opus-4-7": (5, 0.5, 25),
    "claude-opus-4-6": (5, 0.5, 25),
    "claude-opus-4-5": (5, 0.5, 25),
    "claude-opus-4-1": (15, 1.5, 75),
    "claude-opus-4-0": (15, 1.5, 75),
    "claude-opus-4": (15, 1.5, 75),
    "claude-3-opus": (15, 1.5, 75),
    "claude-sonnet-5": (2, 0.2, 10),
    "claude-sonnet-4-6": (3, 0.3, 15),
    "claude-sonnet-4-5": (3, 0.3, 15),
    "claude-sonnet-4-0": (3, 0.3, 15),
    "claude-sonnet-4": (3, 0.3, 15),
    "claude-3-7-sonnet": (3, 0.3, 15),
    "claude-3-5-sonnet": (3, 0.3, 15),
    "claude-haiku-4-5": (1, 0.1, 5),
    "claude-3-5-haiku": (0.8, 0.08, 4),
    "claude-3-haiku": (0.25, 0.03, 1.25),
}
CACHE_WRITE = {"anthropic": (1.25, 2.0)}
"""What a cache write, and one that lives an hour, costs where it costs more than input: that many times as much."""

OPENAI: dict[str, Row] = {
    "gpt-5.5": (5, 0.5, 30),
    "gpt-5.5-pro": (30, None, 180),
    "gpt-5.4": (2.5, 0.25, 15),
    "gpt-5.4-pro": (30, None, 180),
    "gpt-5.4-mini": (0.75, 0.075, 4.5),
    "gpt-5.4-nano": (0.2, 0.02, 1.25),
    "gpt-5.2": (1.75, 0.175, 14),
    "gpt-5.2-pro": (21, None, 168),
    "gpt-5.1": (1.25, 0.125, 10),
    "gpt-5.1-codex": (1.25, 0.125, 10),
    "gpt-5.1-codex-mini": (0.25, 0.025, 2),
    "gpt-5": (1.25, 0.125, 10),
    "gpt-5-codex": (1.25, 0.125, 10),
    "gpt-5-mini": (0.25, 0.025, 2),
    "gpt-5-nano": (0.05, 0.005, 0.4),
    "gpt-5-pro": (15, None, 120),
    "gpt-4.1": (2, 0.5, 8),
    "gpt-4.1-mini": (0.4, 0.1, 1.6),
    "gpt-4.1-nano": (0.1, 0.025, 0.4),
    "gpt-4o": (2.5, 1.25, 10),
    "gpt-4o-2024-05-13": (5, None, 15),
    "gpt-4o-mini": (0.15, 0.075, 0.6),
    "gpt-4-turbo": (10, None, 30),
    "gpt-4": (30, None, 60),
    "gpt-3.5-turbo": (0.5, None, 1.5),
    "o4-mini": (1.1, 0.275, 4.4),
    "o3": (2, 0.5, 8),
    "o3-pro": (20, None, 80),
    "o3-mini": (1.1, 0.55, 4.4),
    "o1": (15, 7.5, 60),
    "text-embedding-3-small": (0.02, None, 0),
    "text-embedding-3-large": (0.13, None, 0),
    "text-embedding-ada-002": (0.1, None, 0),
}
GEMINI: dict[str, Row] = {
    "gemini-3.1-pro-preview": (2, 0.2, 12),
    "gemini-3-pro-preview": (2, 0.2, 12),
    "gemini-3-flash-preview": (0.5, 0.05, 3),
    "gemini-3.1-flash-lite-preview": (0.25, 0.025, 1.5),
    "gemini-2.5-pro": (1.25, 0.125, 10),
    "gemini-2.5-flash": (0.3, 0.03, 2.5),
    "gemini-2.5-flash-lite": (0.1, 0.01, 0.4),
}
GROQ: dict[str, Row] = {
    "llama-3.3-70b-versatile": (0.59, None, 0.79),
    "llama-3.1-8b-instant": (0.05, None, 0.08),
}
MISTRAL: dict[str, Row] = {
    "mistral-large-2512": (0.5, None, 1.5),
    "mistral-large-2411": (2, None, 6),
    "mistral-medium-2508": (0.4, None, 2),
    "mistral-medium-2505": (0.4, None, 2),
    "codestral-2508": (0.3, None, 0.9),
    "mistral-embed": (0.1, None, 0),
}

TABLES: dict[str, dict[str, Row]] = {
    "anthropic": ANTHROPIC,
    "openai": OPENAI,
    "azure": OPENAI,
    "gemini": GEMINI,
    "vertex": GEMINI | ANTHROPIC,
    "groq": GROQ,
    "mistral": MISTRAL,
}
"""By provider. Azure and Vertex charge the makers' prices where a deployment is not bound to a region."""

LONG: dict[str, tuple[int, Row]] = {
    "claude-sonnet-4-5": (200_000, (6, 0.6, 22.5)),
    "claude-sonnet-4-0": (200_000, (6, 0.6, 22.5)),
    "claude-sonnet-4": (200_000, (6, 0.6, 22.5)),
    "gpt-5.5": (272_000, (10, 1, 45)),
    "gpt-5.4": (272_000, (5, 0.5, 22.5)),
    "gemini-3.1-pro-preview": (200_000, (4, 0.4, 18)),
    "gemini-3-pro-preview": (200_000, (4, 0.4, 18)),
    "gemini-2.5-pro": (200_000, (2.5, 0.25, 15)),
}
"""Prompts of more than so many tokens cost that instead, all of them."""
