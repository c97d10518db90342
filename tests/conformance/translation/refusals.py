"""The cells that are no translation but a documented answer, and what is left out of the others."""

REFUSED = {
    ("anthropic", "openai_chat", "document url"): "messages.0.content.1",
    ("anthropic", "openai_chat", "prefill"): "messages.1",
    ("anthropic", "openai_chat", "many stop sequences"): "stop_sequences",
    ("anthropic", "openai_chat", "a tool of the vendor's"): "tools.1",
    ("anthropic", "openai_chat", "citations"): "messages.0.content.1",
    ("anthropic", "openai_chat", "an image by file id"): "messages.0.content.1",
    ("anthropic", "openai_chat", "a server-side thread"): "thread",
    ("anthropic", "openai_chat", "tools of another server"): "mcp_servers",
    ("anthropic", "openai_chat", "a warmed cache"): "max_tokens",
    ("openai_chat", "anthropic", "json without a schema"): "response_format",
    ("openai_chat", "anthropic", "hot temperature"): "temperature",
    ("openai_chat", "anthropic", "several answers"): "n",
    ("openai_chat", "anthropic", "logprobs"): "logprobs",
    ("openai_chat", "anthropic", "audio"): "messages[0].content[1]",
    ("openai_chat", "anthropic", "prediction"): "prediction",
    ("openai_chat", "anthropic", "a tool of the vendor's"): "web_search_options",
    ("openai_chat", "anthropic", "a free-text tool"): "tools[1]",
}
"""(dialect, wire, case): a 400 that names this field, before any provider is asked."""

DROPPED = {
    ("anthropic", "openai_chat", "top_k"): ("top_k",),
    ("anthropic", "openai_chat", "a cache hint"): ("messages.0.content.0.cache_control",),
    ("openai_chat", "anthropic", "a cache hint"): ("prompt_cache_key",),
}
"""(dialect, wire, case): harmless fields that are left out and reported."""
