"""The bodies of Gemini's requests: every field the API has, so that any other is refused, as the API refuses it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class _Message(Struct, rename="camel", forbid_unknown_fields=True):
    pass


class Blob(_Message):
    """Bytes, base64."""

    mime_type: str
    data: str


class FileData(_Message):
    """A file elsewhere."""

    file_uri: str
    mime_type: str | None = None


class FunctionCall(_Message):
    """A call."""

    name: str
    id: str | None = None
    args: dict[str, Any] | None = None


class ResponsePart(_Message):
    """What of a result is no text."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(_Message):
    """A result."""

    name: str
    response: dict[str, Any]
    id: str | None = None
    parts: list[ResponsePart] | None = None
    will_continue: bool | None = None
    scheduling: str | None = None


class Part(_Message):
    """A part of a turn."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: dict[str, Any] | None = None
    code_execution_result: dict[str, Any] | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    video_metadata: dict[str, Any] | None = None
    media_resolution: dict[str, Any] | None = None

    @property
    def has_data(self) -> bool:
        """Whether it holds anything."""
        data = (self.text, self.inline_data, self.file_data, self.function_call, self.function_response)
        return any(each is not None for each in (*data, self.executable_code, self.code_execution_result))


class Content(_Message):
    """A turn, or the system instruction."""

    parts: list[Part] = []
    role: str | None = None


class FunctionDeclaration(_Message):
    """A function."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    behavior: str | None = None


class Tool(_Message):
    """Functions, or one of the vendor's own tools."""

    function_declarations: list[FunctionDeclaration] | None = None
    google_search: dict[str, Any] | None = None
    google_search_retrieval: dict[str, Any] | None = None
    code_execution: dict[str, Any] | None = None
    url_context: dict[str, Any] | None = None
    computer_use: dict[str, Any] | None = None
    google_maps: dict[str, Any] | None = None
    file_search: dict[str, Any] | None = None


class FunctionCallingConfig(_Message):
    """Which functions may or must be called."""

    mode: str | None = None
    allowed_function_names: list[str] | None = None
    stream_function_call_arguments: bool | None = None


class ToolConfig(_Message):
    """`toolConfig`."""

    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: dict[str, Any] | None = None
    include_server_side_tool_invocations: bool | None = None


class ThinkingConfig(_Message):
    """`thinkingConfig`."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(_Message):
    """`generationConfig`."""

    stop_sequences: list[str] | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    response_modalities: list[str] | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    enable_enhanced_civic_answers: bool | None = None
    speech_config: dict[str, Any] | None = None
    thinking_config: ThinkingConfig | None = None
    image_config: dict[str, Any] | None = None
    media_resolution: str | None = None


class Body(_Message, kw_only=True):
    """A body of `generateContent`; `model` is what `countTokens` has inside."""

    contents: list[Content] | None = None
    model: str | None = None
    system_instruction: Content | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    safety_settings: list[dict[str, Any]] | None = None
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None
    service_tier: str | None = None
    store: bool | None = None


class VertexBody(Body, kw_only=True):
    """The same on Vertex, which takes labels and counts the bare request."""

    labels: dict[str, str] | None = None


class CountBody(_Message):
    """A body of `countTokens`: one of the two."""

    contents: list[Content] | None = None
    generate_content_request: Body | None = None
