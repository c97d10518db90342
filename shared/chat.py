"""The canonical request and response: what every dialect and every adapter translates to and from.

Only requests whose client dialect and provider wire differ pass through here; the same wire is edited in place.
Every struct is immutable. JSON that we carry but do not read stays `msgspec.Raw`.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

import msgspec

# --- where bytes come from ------------------------------------------------------------------------


class Inline(msgspec.Struct, frozen=True):
    """Bytes in the request. `data` is base64 text, as both wires carry it; never decoded here."""

    media_type: str
    data: str


class Url(msgspec.Struct, frozen=True):
    """A document or image the provider (or a guarded worker) fetches."""

    url: str


class FileRef(msgspec.Struct, frozen=True):
    """The id of an uploaded file."""

    file_id: str


class PlainText(msgspec.Struct, frozen=True):
    """A document given as text."""

    text: str


Source: TypeAlias = Inline | Url | FileRef | PlainText


# --- content parts --------------------------------------------------------------------------------


class Citation(msgspec.Struct, frozen=True):
    """A page that a text rests on.

    Attributes:
        title: None when the wire does not say.
        cited_text: the page's own words, empty when the wire does not say.
    """

    url: str
    title: str | None = None
    cited_text: str = ""


class Text(msgspec.Struct, frozen=True):
    """Plain text. `citations`, in answers only: what all of it rests on."""

    text: str
    citations: tuple[Citation, ...] = ()


class Image(msgspec.Struct, frozen=True):
    """An image. `detail` is OpenAI's `auto|low|high|original`."""

    source: Inline | Url | FileRef
    detail: str | None = None


class Document(msgspec.Struct, frozen=True):
    """A PDF or text document."""

    source: Source
    title: str | None = None
    context: str | None = None
    filename: str | None = None
    citations: bool = False


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning shown by a model.

    `signature` is opaque and only means something to the wire named by `origin`
    (`anthropic`, `openai_chat`, …); an adapter of another wire leaves the part out and reports it.
    """

    text: str
    origin: str
    signature: str | None = None


class RedactedThinking(msgspec.Struct, frozen=True):
    """Reasoning only the wire named by `origin` can read."""

    data: str
    origin: str


class ToolCall(msgspec.Struct, frozen=True):
    """A call the model wants made. `arguments` is the JSON text exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True):
    """What a tool answered; sent by the client in a user turn."""

    call_id: str
    content: tuple[Text | Image | Document | Foreign, ...]
    is_error: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """The model's refusal text (OpenAI keeps it apart from content)."""

    text: str


class Foreign(msgspec.Struct, frozen=True):
    """Something only one wire can say: a server tool block, audio, a vendor's own field.

    Attributes:
        wire: the wire it came in on.
        kind: its type there, e.g. `server_tool_use`.
        path: where it stood in the body, e.g. `messages.2.content.0`, for the error message.
        raw: the JSON as it came.
    """

    wire: str
    kind: str
    path: str
    raw: msgspec.Raw


Part: TypeAlias = Text | Image | Document | Thinking | RedactedThinking | ToolCall | ToolResult | Refusal | Foreign


class Message(msgspec.Struct, frozen=True):
    """One turn. A `system` turn in the middle of a conversation keeps its place."""

    role: Literal["user", "assistant", "system"]
    content: tuple[Part, ...]
    name: str | None = None


# --- request --------------------------------------------------------------------------------------


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call. `parameters` is a JSON Schema, untouched."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """Which tool must be used. `names` is set for `tool` (one) and `subset` (several)."""

    mode: Literal["auto", "any", "none", "tool", "subset"]
    names: tuple[str, ...] = ()


class Reasoning(msgspec.Struct, frozen=True):
    """How hard to think.

    Attributes:
        mode: Anthropic's `thinking.type`, None when the caller only gave an effort.
        effort: `none|minimal|low|medium|high|xhigh|max`.
        budget_tokens: Anthropic's explicit budget.
    """

    mode: Literal["enabled", "adaptive", "between_tools", "disabled"] | None = None
    effort: str | None = None
    budget_tokens: int | None = None


class OutputFormat(msgspec.Struct, frozen=True):
    """Structured output. `schema` is None for OpenAI's schemaless `json_object`."""

    schema: msgspec.Raw | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """One request for one assistant turn.

    Attributes:
        model: as the *provider* is to be asked: the `provider/` prefix is already off.
        system: leading system or developer text, in order.
        foreign: top-level fields we do not translate, each under its name (path = name); an adapter either
            drops a harmless one and reports it, or raises `Unsupported`.
        include_usage: an OpenAI streaming client asked for the last usage chunk.
        cache_marks: canonical paths of the system texts, parts and tools up to which the prompt is to be cached, with
            for how long: `5m` or `1h`. The client's own fields for it are among `foreign` too.
        paths: where the client's own body has what stands at a canonical path (`messages.2.content.0`, `stop`), for
            errors; a path that is not told of is the same in both.
    """

    model: str
    messages: tuple[Message, ...]
    system: tuple[Text, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    tools: tuple[Tool | Foreign, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    output_format: OutputFormat | None = None
    user_id: str | None = None
    stream: bool = False
    include_usage: bool = False
    foreign: tuple[Foreign, ...] = ()
    cache_marks: dict[str, str] = {}
    paths: dict[str, str] = {}


# --- response -------------------------------------------------------------------------------------


class StopReason(Enum):
    """Why the model stopped."""

    END = "end"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    TOOL_CALL = "tool_call"
    REFUSAL = "refusal"
    PAUSE = "pause"


class Usage(msgspec.Struct, frozen=True):
    """Tokens, counted Anthropic's way: `input_tokens` excludes both cache figures.

    `known` is False when the provider reported nothing; the numbers are then zeros.
    `output_tokens` includes `reasoning_tokens`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    known: bool = True

    @property
    def total_input_tokens(self) -> int:
        """Input counted OpenAI's way, caches included."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


class ChatResponse(msgspec.Struct, frozen=True):
    """A finished assistant turn.

    Attributes:
        id: the provider's id of the answer.
        created_s: Unix seconds, None when the wire does not say.
        content: only Text, Thinking, RedactedThinking, ToolCall, Refusal and Foreign occur.
        stop_sequence: which stop string was hit, when the wire says so.
    """

    id: str
    model: str
    content: tuple[Part, ...]
    stop_reason: StopReason
    usage: Usage
    stop_sequence: str | None = None
    created_s: int | None = None
