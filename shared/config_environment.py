"""Providers without a file: the environment variables that the vendors' own SDKs and tools read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

KEY_VARIABLES: dict[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "together": "TOGETHER_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "xai": "XAI_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "perplexity": "PERPLEXITY_API_KEY",
    "azure": "AZURE_OPENAI_API_KEY",
}
"""Where each vendor's documentation puts its key."""

_BASE_URL_VARIABLES = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}
_AZURE_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
_OLLAMA_PORT = 11434

SIMULATED_PATHS = {
    "anthropic": "",
    "openai": "/v1",
    "azure": "/azure/openai/v1",
    "vertex": "/vertex/v1",
    "ollama": "/ollama/v1",
}
"""Path below the simulator's origin at which it plays each provider."""


def environment_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """A document of config.json's shape whose only section is `providers`.

    Keys are references (`env.NAME`), never values, so it may be written to disk. `providers` is empty when no
    variable is set.
    """
    providers: dict[str, Any] = {}
    for name, variable in KEY_VARIABLES.items():
        if not environ.get(variable):
            continue
        base_url = _base_url(name, environ)
        if name == "azure" and base_url is None:
            continue
        providers[name] = _provider(f"env.{variable}", base_url)
    if environ.get("OLLAMA_HOST"):
        providers["ollama"] = _provider(None, ollama_url(environ["OLLAMA_HOST"]))
    return {"providers": providers}


def environment_warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What an operator should know about variables that were left out."""
    key = KEY_VARIABLES["azure"]
    if environ.get(key) and not environ.get(_AZURE_ENDPOINT):
        return (f"{key}: set without {_AZURE_ENDPOINT}; azure is left out",)
    return ()


def simulator_config(base_url: str) -> dict[str, Any]:
    """A document whose providers are all played by the simulator at `base_url` (no trailing slash)."""
    return {"providers": {name: _provider("simulator", base_url + path) for name, path in SIMULATED_PATHS.items()}}


def ollama_url(host: str) -> str:
    """The OpenAI-compatible base URL of the server that OLLAMA_HOST names.

    Follows the server's own reading (envconfig.Host of ollama/ollama): scheme and port are optional, the port is
    11434 without a scheme and the scheme's own with one. An address that only a server can bind, such as 0.0.0.0,
    becomes this machine.
    """
    scheme, separator, rest = host.strip().rpartition("://")
    parts = urlsplit(f"//{rest}")
    name = parts.hostname or "127.0.0.1"
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - it is replaced, not bound
    port = parts.port or (None if separator else _OLLAMA_PORT)
    literal = f"[{name}]" if ":" in name else name
    return f"{scheme or 'http'}://{literal}{f':{port}' if port else ''}{parts.path.rstrip('/')}/v1"


def _base_url(name: str, environ: Mapping[str, str]) -> str | None:
    if name == "azure":
        endpoint = environ.get(_AZURE_ENDPOINT)
        return f"{endpoint.rstrip('/')}/openai/v1" if endpoint else None
    return environ.get(_BASE_URL_VARIABLES.get(name, "")) or None


def _provider(value: str | None, base_url: str | None) -> dict[str, Any]:
    provider: dict[str, Any] = {"keys": [{"value": value}]} if value else {}
    if base_url:
        provider["network_config"] = {"base_url": base_url}
    return provider
