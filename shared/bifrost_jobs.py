"""What Bifrost calls the kinds of jobs, and where its own surface shows one. Kinds are (dialect, operation)."""

from __future__ import annotations

REQUEST_TYPES = {
    ("anthropic", "chat"): "chat_completion",
    ("openai_chat", "chat"): "chat_completion",
    ("openai_chat", "embeddings"): "embedding",
    ("openai_responses", "chat"): "responses",
}
"""Every other kind is called as its operation."""

ASYNC_PATHS = {
    ("openai_chat", "chat"): "/v1/async/chat/completions",
    ("openai_chat", "embeddings"): "/v1/async/embeddings",
    ("openai_responses", "chat"): "/v1/async/responses",
}
"""Where jobs of a kind are submitted and, below it, shown by their ids."""
