"""What `hermod up` prints once it is ready."""

from __future__ import annotations

import msgspec

from deploy.config_report import administration
from shared.provider_settings import ProviderSettings
from shared.settings import Settings

_MODELS = {"anthropic": "claude-haiku-5-5", "openai": "gpt-4o-mini"}
_SNIPPET = """\
import time
import anthropic

client = anthropic.Anthropic(base_url="{url}/anthropic", api_key="{key}")
question = {{
    "model": "{model}",
    "max_tokens": 256,
    "messages": [{{"role": "user", "content": "Hello!"}}],
}}
job = client.messages.create(**question, extra_headers={{"x-bf-async": "true"}})
print("job", job.id)
while not (answer := client.messages.create(**question, extra_headers={{"x-bf-async-id": job.id}})).content:
    time.sleep(0.5)
print(answer.content[0].text)"""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What runs where.

    Attributes:
        url: of the API.
        redis: where and how durable, for people.
        objects: the folder or the S3 server.
        workers: number of worker processes.
        metrics_port: of the API's metrics; those of the workers follow. 0 for none.
        settings: as loaded.
        simulator: its URL, None when real providers are configured.
        warnings: of the settings.
    """

    url: str
    redis: str
    objects: str
    workers: int
    metrics_port: int = 0
    settings: Settings
    simulator: str | None
    warnings: tuple[str, ...] = ()


def start_lines(running: Running) -> list[str]:
    """The lines, warnings last."""
    settings = running.settings
    slots = settings.worker.slots
    lines = [
        "",
        f"  redis      {running.redis}",
        f"  objects    {running.objects}",
        f"  workers    {running.workers}, each up to {slots} jobs at once",
        f"  providers  {', '.join(settings.providers) or f'simulated at {running.simulator}'}",
        "",
        f"  Anthropic SDK  base_url={running.url}/anthropic",
        f"  OpenAI SDK     base_url={running.url}/openai",
        f"  health         {running.url}/health",
        f"  console        {running.url}/console, {administration(settings)}",
        *_metrics(running),
        "",
    ]
    if running.simulator:
        lines += ["no provider key found: answers come from the built-in simulator", ""]
    lines += ["Try it (pip install anthropic):", ""]
    key = "YOUR-VIRTUAL-KEY" if settings.client.enforce_auth_on_inference else "unused"
    snippet = _SNIPPET.format(url=running.url, model=_model(settings), key=key)
    lines += [f"    {line}".rstrip() for line in snippet.splitlines()]
    return [*lines, "", *(f"warning: {line}" for line in running.warnings), "Ready. Ctrl-C stops everything."]


def _metrics(running: Running) -> list[str]:
    first = running.metrics_port
    workers = ", ".join(str(first + number) for number in range(1, running.workers + 1))
    return [f"  metrics        port {first} (API), {workers} (workers), /metrics on each"] if first else []


def _model(settings: Settings) -> str:
    """A model that the configured providers are likely to serve."""
    if not settings.providers or "anthropic" in settings.providers:
        return _first_allowed(settings.providers.get("anthropic")) or _MODELS["anthropic"]
    name = "openai" if "openai" in settings.providers else next(iter(settings.providers))
    return f"{name}/{_first_allowed(settings.providers[name]) or _MODELS.get(name, 'YOUR-MODEL')}"


def _first_allowed(provider: ProviderSettings | None) -> str | None:
    """The first model that a key is restricted to, None when any will do."""
    models = [model for key in provider.keys for model in key.models] if provider else []
    return None if not models or "*" in models else models[0]
