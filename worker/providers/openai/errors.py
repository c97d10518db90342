"""Error answers of OpenAI-compatible servers as our errors, with credentials redacted."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from shared.errors import ProviderError, RateLimited
from shared.wire.openai_chat import NULL
from shared.wire.openai_chat_answer import ErrorFacts, WrongField
from worker.providers.hints import FIRST_SERVER_ERROR, excerpt, is_unpaid, kind_of, made, safe

_FIRST_ERROR = 400
_LAST_ERROR = 599

_WORDS: tuple[tuple[str, int], ...] = (
    ("rate_limit", 429),
    ("resource_exhausted", 429),
    ("insufficient_quota", 429),
    ("overloaded", 503),
    ("slow_down", 503),
    ("unavailable", 503),
    ("timeout", 504),
    ("deadline_exceeded", 504),
    ("invalid_api_key", 401),
    ("authentication", 401),
    ("permission", 403),
    ("not_found", 404),
    ("invalid", 400),
    ("content_filter", 400),
    ("context_length", 400),
)
"""Words in the type or code of an error inside a stream, and the status it would have had; the stream's own was 200."""

_ERROR = b'"error"'
_ANSWERS = ("choices", "output", "data", "object")
"""Fields of answers; a response object has an `error` of its own, and its `status` tells."""
_NOTHING = frozenset({b"null", b"[]", b'"error"'})

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_FACTS = msgspec.json.Decoder(ErrorFacts)
_STRING = msgspec.json.Decoder(str)
_WRONG = msgspec.json.Decoder(list[WrongField])
_MOST_WRONG = 3
"""Wrong fields that are told of."""


def error(provider: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """An answer with status ≥ 400 as an error. `headers` are looked up in lower case."""
    return _made(provider, status, headers, _said(body))


def stream_error(provider: str, raw: Raw) -> ProviderError:
    """The `error` of a frame, or the data of an `error` event, as the error its facts stand for."""
    facts = _facts(raw)
    return _made(provider, _status(facts), {}, facts)


def under_200(provider: str, body: bytes) -> ProviderError | None:
    """The `{"error": …}` that some servers answer under status 200; None for what holds an answer."""
    if _ERROR not in body:
        return None
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    said = fields.get("error", NULL)
    if bytes(said) == b"null" or any(bytes(fields.get(name, NULL)) not in _NOTHING for name in _ANSWERS):
        return None
    return stream_error(provider, said)


def _made(provider: str, status: int, headers: Mapping[str, str], facts: ErrorFacts) -> ProviderError:
    code = None if facts.code is None else str(facts.code)
    unpaid = is_unpaid(status, code, facts.type)
    kind = RateLimited if unpaid else kind_of(status)
    named, param = facts.type, facts.param
    return made(
        kind, provider, status, headers, facts.message, unpaid=unpaid, upstream_type=named, param=param, code=code
    )


def _said(body: bytes) -> ErrorFacts:
    """What the provider said, wherever it put it.

    OpenAI's `{"error": {…}}`, Gemini's list of one of these, Ollama's `{"error": "…"}`, FastAPI's `{"detail": …}`,
    Mistral's `{"message": {"detail": …}}`, and the bare `{"message": …}` of older vLLM and Mistral.
    """
    try:
        items = _LIST.decode(body) if body.lstrip().startswith(b"[") else []
        fields = _FIELDS.decode(items[0] if items else body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorFacts(message=excerpt(body))
    for found in (fields.get("error", NULL), fields.get("detail", NULL), _detail(fields.get("message", NULL))):
        if bytes(found) != b"null":
            return _facts(found)
    return _facts(Raw(body)) if "message" in fields else ErrorFacts()


def _detail(message: Raw) -> Raw:
    try:
        return _FIELDS.decode(message).get("detail", NULL)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NULL


def _facts(raw: Raw) -> ErrorFacts:
    """The facts of an error object or text; what is of another shape stays unsaid, for it may quote the prompt."""
    try:
        if bytes(raw).startswith(b'"'):
            return ErrorFacts(message=safe(_STRING.decode(raw)))
        if bytes(raw).startswith(b"["):
            return _wrong(_WRONG.decode(raw))
        facts = _FACTS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorFacts()
    facts.message = safe(facts.message) if facts.message else None
    facts.type = facts.type or facts.status
    return facts


def _wrong(fields: list[WrongField]) -> ErrorFacts:
    """Which fields pydantic finds wrong, and why; never their values, which may be the prompt."""
    paths = [".".join(str(step) for step in field.loc if step != "body") for field in fields]
    told = [f"{path}: {field.msg}" for path, field in zip(paths, fields, strict=True) if field.msg]
    return ErrorFacts(message=safe("; ".join(told[:_MOST_WRONG])) or None, param=paths[0] if told else None)


def _status(facts: ErrorFacts) -> int:
    for number in (facts.status_code, facts.code):
        if str(number).isdigit() and _FIRST_ERROR <= int(number or 0) <= _LAST_ERROR:
            return int(number or 0)
    said = f"{facts.code} {facts.type}".lower()
    return next((status for word, status in _WORDS if word in said), FIRST_SERVER_ERROR)
