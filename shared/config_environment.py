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

SECRET_VARIABLES = frozenset(KEY_VARIABLES.values()) | {
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
}
"""What may hold a provider's credential, or say where it is."""

_BASE_URL_VARIABLES = {"anthropic": "ANTHROPIC_BASE_URL", "openai": "OPENAI_BASE_URL"}
_AZURE_ENDPOINT = "AZURE_OPENAI_ENDPOINT"
_AZURE_VERSIONS = ("AZURE_OPENAI_API_VERSION", "OPENAI_API_VERSION")
_AWS_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_AWS_KEYS = {"access_key": "AWS_ACCESS_KEY_ID", "secret_key": "AWS_SECRET_ACCESS_KEY"}
_GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
_GOOGLE_PROJECTS = ("GOOGLE_CLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID")
_GOOGLE_REGIONS = ("GOOGLE_CLOUD_LOCATION", "CLOUD_ML_REGION")
"""As Google's own SDK, and Anthropic's for Vertex, name them."""
_OLLAMA_PORT = 11434


def environment_config(environ: Mapping[str, str]) -> dict[str, Any]:
    """A document of config.json's shape whose only section is `providers`.

    Keys are references (`env.NAME`), never values, so it may be written to disk. `providers` is empty when no
    variable is set.
    """
    providers: dict[str, Any] = {}
    for name, variable in KEY_VARIABLES.items():
        if name != "azure" and environ.get(variable):
            providers[name] = _provider({"value": f"env.{variable}"}, environ.get(_BASE_URL_VARIABLES.get(name, "")))
    clouds = {"azure": _azure(environ), "vertex": _vertex(environ), "bedrock": _bedrock(environ)}
    providers |= {name: _provider(key) for name, key in clouds.items() if key}
    if environ.get("OLLAMA_HOST"):
        providers["ollama"] = _provider(None, ollama_url(environ["OLLAMA_HOST"]))
    return {"providers": providers}


def environment_warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What an operator should know about variables that were left out."""
    wanted = (
        (KEY_VARIABLES["azure"], (_AZURE_ENDPOINT,), "azure"),
        (_GOOGLE_CREDENTIALS, _GOOGLE_PROJECTS, "vertex"),
        (_GOOGLE_CREDENTIALS, _GOOGLE_REGIONS, "vertex"),
        ("AWS_BEARER_TOKEN_BEDROCK", _AWS_REGIONS, "bedrock"),
    )
    return tuple(
        f"{given}: set without {names[0]}; {provider} is left out"
        for given, names, provider in wanted
        if environ.get(given) and not _first(environ, names)
    )


def simulator_config(base_url: str) -> dict[str, Any]:
    """A document whose providers are all played by the simulator at `base_url` (no trailing slash)."""
    key = {"value": "simulator"}
    project = {"project_id": "simulator", "region": "us-central1"}
    pair = {"region": "us-east-1", "access_key": "simulator", "secret_key": "simulator"}
    return {
        "providers": {
            "anthropic": _provider(key, base_url),
            "openai": _provider(key, f"{base_url}/v1"),
            "azure": _provider({**key, "azure_key_config": {"endpoint": f"{base_url}/azure"}}),
            "gemini": _provider(key, f"{base_url}/gemini/v1beta"),
            "vertex": _provider({**key, "vertex_key_config": project}, f"{base_url}/vertex"),
            "bedrock": _provider({"bedrock_key_config": pair}, f"{base_url}/bedrock"),
            "ollama": _provider(None, f"{base_url}/ollama/v1"),
        }
    }


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


def _azure(environ: Mapping[str, str]) -> dict[str, Any] | None:
    key = KEY_VARIABLES["azure"]
    if not (environ.get(key) and environ.get(_AZURE_ENDPOINT)):
        return None
    version = _first(environ, _AZURE_VERSIONS)
    block = {"endpoint": f"env.{_AZURE_ENDPOINT}"} | ({"api_version": f"env.{version}"} if version else {})
    return {"value": f"env.{key}", "azure_key_config": block}


def _vertex(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Signed with what the file of the credentials says, which google-auth finds itself."""
    project, region = _first(environ, _GOOGLE_PROJECTS), _first(environ, _GOOGLE_REGIONS)
    if not (environ.get(_GOOGLE_CREDENTIALS) and project and region):
        return None
    return {"vertex_key_config": {"project_id": f"env.{project}", "region": f"env.{region}"}}


def _bedrock(environ: Mapping[str, str]) -> dict[str, Any] | None:
    region = _first(environ, _AWS_REGIONS)
    if not region:
        return None
    block = {"region": f"env.{region}"}
    if environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return {"value": "env.AWS_BEARER_TOKEN_BEDROCK", "bedrock_key_config": block}
    if not all(environ.get(variable) for variable in _AWS_KEYS.values()):
        return None
    if environ.get("AWS_SESSION_TOKEN"):
        block["session_token"] = "env.AWS_SESSION_TOKEN"  # noqa: S105 - a reference
    return {"bedrock_key_config": block | {name: f"env.{variable}" for name, variable in _AWS_KEYS.items()}}


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first of the variables that is set."""
    return next((name for name in names if environ.get(name)), None)


def _provider(key: dict[str, Any] | None, base_url: str | None = None) -> dict[str, Any]:
    provider: dict[str, Any] = {"keys": [key]} if key else {}
    if base_url:
        provider["network_config"] = {"base_url": base_url}
    return provider
