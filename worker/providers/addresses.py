"""Where a call goes: the key's own address, the operator's, or the row's. Pure.

    azure     {endpoint}/openai/v1, or {endpoint}/openai/deployments/{deployment} with an `api_version`
    vertex    {region's host}/v1/projects/{project}/locations/{region}/publishers/{maker}
    bedrock   {region's host}
    others    the key's `base_url`, else `network_config.base_url`, else the row's

`network_config.base_url` takes the place of a region's host, never of an address that a key has of its own: a key's
credential goes where the key says.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from shared.errors import Unsupported
from shared.provider_settings import ProviderKey, ProviderSettings, VertexKey
from worker.providers.base import PassThrough, Row

_ASKED = {
    "chat": ("chat_completion", "responses"),
    "count_tokens": ("count_tokens",),
    "embeddings": ("embedding",),
    "models": ("list_models",),
}
"""Bifrost's names for a job's operations."""
_OF_DEPLOYMENTS = frozenset({"/chat/completions", "/embeddings"})
"""Azure's older addresses name the deployment for these; responses, files and batches have none
(https://learn.microsoft.com/azure/ai-foundry/openai/reference)."""
_MAKERS = (("claude", "v1", "anthropic"), ("", "v1beta1", "google"))
"""Prefix of a Vertex model, the API's version in which the maker's own SDK calls it, and its publisher."""
_MULTI_REGIONS = frozenset({"us", "eu"})


def base_url(row: Row, configured: str | None, key: ProviderKey, model: str) -> str:
    """Where the row's API is, no trailing slash; empty when it has no default and nothing is configured.

    `model` is the provider's own name, empty when the provider is asked about itself. A configured origin without a
    path gets the row's own path: `https://me.openai.azure.com` is enough for Azure.
    """
    if key.azure is not None:
        return f"{key.azure.endpoint}/openai{'' if key.azure.api_version else '/v1'}"
    if key.vertex is not None:
        return (configured or f"https://{_google_host(key.vertex.region)}") + _vertex_path(key.vertex, model)
    if key.bedrock is not None:
        return configured or f"https://bedrock-runtime.{key.bedrock.region}.amazonaws.com"
    own = (key.base_url or configured or "").rstrip("/")
    if not own:
        return row.base_url or ""
    return own if urlsplit(own).path else own + (row.api_path or urlsplit(row.base_url or "").path)


def url(row: Row, configured: str | None, key: ProviderKey, model: str, path: str) -> str:
    """The address of a call; `path` is below `base_url`, with its query."""
    base = base_url(row, configured, key, model)
    if key.azure is None or not key.azure.api_version:
        return base + path
    called, _, query = path.partition("?")
    if called in _OF_DEPLOYMENTS:
        called = f"/deployments/{quote(model, safe='')}{called}"
    asked = f"{query}&" if query else ""
    return f"{base}{called}?{asked}api-version={quote(key.azure.api_version, safe='')}"


def path_of(settings: ProviderSettings, wire: PassThrough, operation: str, model: str, *, stream: bool = False) -> str:
    """The wire's path for the operation, or the operator's own for a custom provider.

    Raises:
        Unsupported: the operator does not allow the operation there, or the wire has none such.
    """
    names = [f"{name}_stream" if stream and operation == "chat" else name for name in _ASKED[operation]]
    if settings.allowed_requests is not None and settings.allowed_requests.isdisjoint(names):
        raise Unsupported(f"model: {settings.name} may not be asked for {names[0]}, say its settings.", param="model")
    own = next((name for name in names if name in settings.request_path_overrides), None)
    if own:
        return settings.request_path_overrides[own]
    try:
        return wire.path(operation, model, stream=stream)
    except Unsupported as error:
        message = f"model: provider {settings.name!r} cannot do this. {error.message}"
        raise Unsupported(message, param="model", code=error.code) from error


def _google_host(region: str) -> str:
    if region == "global":
        return "aiplatform.googleapis.com"
    return (
        f"aiplatform.{region}.rep.googleapis.com" if region in _MULTI_REGIONS else f"{region}-aiplatform.googleapis.com"
    )


def _vertex_path(key: VertexKey, model: str) -> str:
    version, maker = next((version, maker) for prefix, version, maker in _MAKERS if model.startswith(prefix))
    if not model:  # the list of models belongs to no project
        return f"/{version}/publishers/{maker}"
    return f"/{version}/projects/{key.project_id}/locations/{key.region}/publishers/{maker}"
