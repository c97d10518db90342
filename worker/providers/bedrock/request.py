"""A canonical request as a Converse body."""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, Raw

from shared.chat import ChatRequest, OutputFormat, Text
from shared.wire import bedrock as wire
from worker.providers.base import Rendered
from worker.providers.bedrock import models, tools
from worker.providers.bedrock.caching import Points, with_points
from worker.providers.bedrock.turns import turns
from worker.providers.losses import Losses

_ENCODER = msgspec.json.Encoder()
_FIELDS = msgspec.json.Decoder(dict[str, Raw])

_OWN = frozenset({"additionalModelRequestFields", "guardrailConfig", "performanceConfig", "serviceTier"})
"""Fields of Converse's own that a client may write beside those of its dialect; they travel untouched."""

_MAX_TEMPERATURE = 1.0
_DEFAULT_SAMPLING = 1.0
"""Claude's default of `temperature` and of `top_p`. It is left unsaid: many clients always send both at their defaults,
while some models refuse the two together and the newest refuse either."""
_SCHEMA_NAME = "response"
"""Name of a JSON schema that came without one, as Anthropic's do."""
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")


def render(request: ChatRequest, provider: str) -> Rendered:
    """The body, and what was left out of it.

    Raises:
        Unsupported: naming a field that this wire cannot express.
        InvalidRequest: naming a field that no Converse request could hold.
    """
    losses = Losses(provider, request)
    cache_points = models.cache_points(request, losses)
    own = _own(request, losses, caches=bool(cache_points))
    losses.drop_chance(request)
    if request.max_tokens == 0:
        raise losses.refuse("max_tokens", "Warming a cache without an answer is not possible here.")
    max_tokens, thinking, effort = models.reasoning(request, losses)
    tool_config, forbidden = tools.config(request, cache_points, losses)
    body = wire.Request(
        messages=turns(request, cache_points, losses),
        system=_system(request.system, cache_points) + ([wire.Block(text=tools.FORBIDDEN)] if forbidden else []),
        inference_config=_inference(request, max_tokens, losses),
        tool_config=tool_config,
        output_config=_output_config(request.output_format, effort, losses),
        request_metadata=_metadata(request.user_id, losses),
        additional_model_request_fields={
            **thinking,
            **models.sampling(request, losses),
            **tools.single(request, losses),
            **_given(own, losses),
        }
        or None,
        guardrail_config=own.get("guardrailConfig", UNSET),
        performance_config=own.get("performanceConfig", UNSET),
        service_tier=own.get("serviceTier", UNSET),
    )
    return Rendered(_ENCODER.encode(body), losses.names())


def _own(request: ChatRequest, losses: Losses, *, caches: bool) -> dict[str, Raw]:
    """The client's fields of Converse's own; the others of another wire are left out or refused."""
    own = {}
    for field in request.foreign:
        if field.path in _OWN:
            own[field.path] = field.raw
        elif not (caches and field.kind == "cache_control"):
            losses.drop_field(field)
    return own


def _given(own: dict[str, Raw], losses: Losses) -> dict[str, Raw]:
    name = "additionalModelRequestFields"
    try:
        return _FIELDS.decode(own[name]) if name in own else {}
    except msgspec.DecodeError as error:
        raise losses.invalid(name, "This must be an object.") from error


def _system(system: tuple[Text, ...], cache_points: Points) -> list[wire.Block]:
    texts = [wire.Block(text=part.text) if part.text.strip() else None for part in system]
    return with_points(((f"system.{index}", text) for index, text in enumerate(texts)), cache_points, wire.Block)


def _inference(request: ChatRequest, max_tokens: int | None, losses: Losses) -> wire.InferenceConfig | None:
    if request.temperature is not None and request.temperature > _MAX_TEMPERATURE:
        raise losses.refuse("temperature", "Models on Bedrock take a temperature from 0 to 1.")
    unsaid = _DEFAULT_SAMPLING if models.CLAUDE.search(request.model) else None
    config = wire.InferenceConfig(
        max_tokens=max_tokens,
        temperature=None if request.temperature == unsaid else request.temperature,
        top_p=None if request.top_p == unsaid else request.top_p,
        stop_sequences=list(request.stop),
    )
    return None if config == wire.InferenceConfig() else config


def _output_config(wanted: OutputFormat | None, effort: str | None, losses: Losses) -> wire.OutputConfig | None:
    if wanted is None:
        return wire.OutputConfig(effort=effort) if effort else None
    if wanted.schema is None:
        raise losses.refuse("output_format", "Bedrock has no mode for JSON without a schema; give a json_schema.")
    schema = wire.JsonSchema(bytes(wanted.schema).decode(), wanted.name or _SCHEMA_NAME, wanted.description)
    return wire.OutputConfig(wire.TextFormat("json_schema", wire.Structure(schema)), effort)


def _metadata(user_id: str | None, losses: Losses) -> dict[str, str] | None:
    """Where the caller's user goes: into what logs of calls can be searched by."""
    if not user_id:
        return None
    if _METADATA.fullmatch(user_id):
        return {"user_id": user_id}
    losses.drop("user_id")
    return None
