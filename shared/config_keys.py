"""Reads an entry of `providers.{name}.keys` of config.json: Bifrost's shape."""

from __future__ import annotations

import json
import re

from shared import bifrost_settings
from shared.config_section import Section
from shared.provider_settings import AzureKey, BatchBucket, BedrockKey, ProviderKey, RateLimits, VertexKey

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]*")
"""A region or project: it becomes part of a host or a path, where a slash would lead elsewhere."""
_BLOCKS = ("azure", "bedrock", "ollama", "vertex", "vllm")
"""Providers whose keys have a block of their own, `{provider}_key_config`."""
_ACCOUNTS = frozenset({"authorized_user", "service_account"})
"""Kinds of Google credentials that say all there is to say; others are for the machine to have."""
_OWN_ADDRESS = frozenset({"ollama", "vllm"})


def read_key(section: Section, name: str, provider: str, base_url: str | None, warnings: list[str]) -> ProviderKey:
    """A key of `provider`, a name of the catalog; `name` and `base_url` are for a key without its own.

    Raises:
        SettingsError: naming the path of the field that is wrong.
    """
    block = section.section(f"{provider}_key_config") if provider in _BLOCKS else Section({}, section.path, {})
    # Without the block the provider's `base_url` is the whole address, of whatever shape.
    described = f"{provider}_key_config" in section or base_url is None
    limits = section.section("rate_limits")
    key = ProviderKey(
        name=section.text("name") or name,
        id=section.text("id") or "",
        value=section.text("value", secret=True) or "",
        models=section.texts("models", ("*",)),
        rate_limits=_rate_limits(limits),
        model_limits=_model_limits(limits.section("models")),
        blacklisted_models=section.texts("blacklisted_models"),
        weight=section.number("weight", 1.0, above=None),
        aliases=block.mapping("deployments") | section.mapping("aliases"),
        batches=section.flag("use_for_batch_api", default=True),
        base_url=block.url("url") if provider in _OWN_ADDRESS else None,
        azure=_azure(block, base_url) if provider == "azure" and described else None,
        vertex=_vertex(block) if provider == "vertex" and described else None,
        bedrock=_bedrock(block, warnings) if provider == "bedrock" and described else None,
    )
    warnings += [*block.finish(bifrost_settings.KEY_BLOCK), *_misplaced(section, provider)]
    warnings += [*limits.finish(), *section.finish(bifrost_settings.KEY)]
    return key


def needs_value(key: ProviderKey) -> bool:
    """Whether nothing but its `value` could be its credential."""
    return key.vertex is None and key.bedrock is None and (key.azure is None or key.azure.client_id is None)


def _rate_limits(limits: Section) -> RateLimits:
    return RateLimits(
        requests_per_minute=limits.integer("requests_per_minute", 0),
        tokens_per_minute=limits.integer("tokens_per_minute", 0),
    )


def _model_limits(models: Section) -> dict[str, RateLimits]:
    found = {}
    for name in models.names():
        limits = models.section(name)
        found[name] = _rate_limits(limits)
        limits.finish()
    return found


def _misplaced(section: Section, provider: str) -> list[str]:
    others = [f"{kind}_key_config" for kind in _BLOCKS if kind != provider]
    section.ignore(*others)
    return [f"{section.at(name)}: a key of {provider} has no such block; ignored" for name in others if name in section]


def _azure(block: Section, base_url: str | None) -> AzureKey:
    endpoint = block.url("endpoint") or base_url
    if endpoint is None:
        raise block.fail("endpoint", "missing; azure needs one, as in https://<resource>.openai.azure.com")
    who = {name: block.text(name, secret=True) or None for name in ("client_id", "client_secret", "tenant_id")}
    if missing := [name for name, value in who.items() if value is None]:
        if len(missing) < len(who):
            raise block.fail(missing[0], "missing; Entra needs client_id, client_secret and tenant_id")
    elif not _PART.fullmatch(who["tenant_id"] or ""):
        raise block.fail("tenant_id", "expected a name or UUID")
    return AzureKey(
        endpoint=endpoint.removesuffix("/v1").removesuffix("/openai"),
        api_version=block.text("api_version") or None,
        authority=block.url("authority", ("https",)) or AzureKey(endpoint="").authority,
        **who,
    )


def _vertex(block: Section) -> VertexKey:
    credentials = block.text("auth_credentials", secret=True) or None
    if credentials is not None and not _is_account(credentials):
        raise block.fail("auth_credentials", "expected the JSON of a service account, or nothing for the machine's own")
    return VertexKey(
        project_id=_part(block, "project_id", "my-project"),
        region=_part(block, "region", "us-central1, or global"),
        auth_credentials=credentials,
    )


def _bedrock(block: Section, warnings: list[str]) -> BedrockKey:
    pair = {name: block.text(name, secret=True) or None for name in ("access_key", "secret_key")}
    missing = [name for name, value in pair.items() if value is None]
    if len(missing) == 1:
        raise block.fail(missing[0], "missing; its partner is given")
    region = _part(block, "region", "us-east-1")
    return BedrockKey(
        region=region,
        session_token=block.text("session_token", secret=True) or None,
        batch=_bucket(block.section("batch_s3_config"), region, warnings),
        **pair,
    )


def _bucket(section: Section, region: str, warnings: list[str]) -> BatchBucket | None:
    """None without buckets, and without the role that is not Bifrost's to know."""
    role, endpoint = section.text("role_arn"), section.url("endpoint") or f"https://s3.{region}.amazonaws.com"
    found = []
    for each in section.sections("buckets"):
        found.append((each.flag("is_default", default=False), each.text("bucket_name") or "", each.text("prefix")))
        warnings += each.finish(frozenset())
    warnings += section.finish(frozenset())
    if not found:
        return None
    if not role:
        warnings.append(f"{section.at('role_arn')}: missing; without the role of Bedrock batches run directly")
        return None
    _, name, prefix = max(found, key=lambda each: each[0])
    if not _PART.fullmatch(name):
        raise section.fail("buckets", "expected bucket_name, letters, digits, dots and hyphens")
    folder = "hermod" if prefix is None else prefix.strip("/")
    return BatchBucket(bucket_name=name, prefix=f"{folder}/" if folder else "", role_arn=role, endpoint=endpoint)


def _part(block: Section, name: str, example: str) -> str:
    value = block.text(name)
    if not value:
        raise block.fail(name, f"missing; as in {example}")
    if not _PART.fullmatch(value):
        raise block.fail(name, f"expected letters, digits and hyphens, as in {example}")
    return value


def _is_account(text: str) -> bool:
    try:
        said = json.loads(text)
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("type") in _ACCOUNTS
