"""Reads Gemini's requests, and refuses what `generateContent` refuses, in its words."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal, TypeVar

import msgspec

from deploy.simulator.answers import Ask, Tool, count_words
from deploy.simulator.gemini_body import Body, Content, CountBody, FunctionDeclaration, Part, VertexBody
from deploy.simulator.ledger import key_of
from deploy.simulator.schema import ANY_OBJECT
from deploy.simulator.wires import Question, Refusal, problem_of

PATH = re.compile(
    r"(?:/gemini/v1beta|(?P<vertex>/vertex/v1(?:beta1)?/projects/[^/]+/locations/[^/]+/publishers/google))"
    r"/models/(?P<model>[^/:]+):(?P<method>generateContent|streamGenerateContent|countTokens|predict)"
)

_MODES = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")
_LEVELS = ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH")
_MOST_STOPS = 5
_HIGHEST_TEMPERATURE = 2
_UNSIGNED = (b"skip_thought_signature_validator", b"context_engineering_is_the_way_to_go")
"""What may stand for the signature of a call that another vendor's model made."""
_SIGNED = b"sim:"
"""How the simulator's own signatures begin."""
_NO_PARAMETERS = {"type": "object"}
_VERTEX, _GEMINI = msgspec.json.Decoder(VertexBody), msgspec.json.Decoder(Body)
_COUNT = msgspec.json.Decoder(CountBody)

_AnyBody = TypeVar("_AnyBody", Body, VertexBody, CountBody)


def check(headers: dict[str, str], _: bool) -> None:
    """Refuses a call without a key (403), as the Gemini API does."""
    if not headers.get("x-goog-api-key"):
        raise Refusal(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API.",
        )


def check_vertex(headers: dict[str, str], _: bool) -> None:
    """Refuses a call without a token or a key (401), as Vertex does."""
    if not key_of(headers):
        raise Refusal(401, "Request is missing required authentication credential. Expected OAuth 2 access token.")


def read(raw: bytes, _: dict[str, str], *, model: str, stream: bool, vertex: bool) -> Question:
    """The question in a body of `generateContent` or `streamGenerateContent`."""
    body = _decoded(_VERTEX, raw) if vertex else _decoded(_GEMINI, raw)
    _check(body, model)
    return _question(body, model, stream=stream)


def read_count(raw: bytes, _: dict[str, str], *, model: str, vertex: bool) -> Question:
    """The same of `countTokens`."""
    if vertex:
        body: Body = _decoded(_VERTEX, raw)
    else:
        counted = _decoded(_COUNT, raw)
        body = counted.generate_content_request or Body(contents=counted.contents)
        if counted.generate_content_request is not None and body.model != f"models/{model}":
            raise Refusal(400, "* CountTokensRequest.generate_content_request.model: unexpected model name format")
    _check(body, model)
    return _question(body, model, stream=False)


def signs(model: str) -> bool:
    """Whether the model signs its calls and wants the signatures back, as those from Gemini 3 on do."""
    return model.startswith("gemini-3")


def _decoded(decoder: msgspec.json.Decoder[_AnyBody], raw: bytes) -> _AnyBody:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        problem = problem_of(error)
        *above, name = problem.path or [""]
        at = f" at '{'.'.join(above)}'" if above else ""
        if problem.unknown:
            raise _invalid(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.') from error
        raise _invalid(f"Invalid value at '{'.'.join(problem.path)}' ({problem.expected or 'required'})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _invalid("Invalid JSON payload received. Unexpected token.") from error


def _invalid(message: str) -> Refusal:
    return Refusal(400, message)


def _check(body: Body, model: str) -> None:
    if not body.contents:
        raise _invalid("* GenerateContentRequest.contents: contents is not specified\n")
    for number, content in enumerate(body.contents):
        _check_content(content, number)
    if body.contents[-1].role == "model":
        raise _invalid("Please ensure that multiturn requests end with a user role or a function response.")
    _check_results(body.contents)
    if signs(model):
        _check_signatures(body.contents)
    _check_tools(body)
    _check_config(body)


def _check_content(content: Content, number: int) -> None:
    if content.role not in {"user", "model", None}:
        raise _invalid("Please use a valid role: user, model.")
    if not content.parts:
        raise _invalid(f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty.\n")
    for index, part in enumerate(content.parts):
        if not part.has_data:
            where = f"GenerateContentRequest.contents[{number}].parts[{index}].data"
            raise _invalid(f"* {where}: required oneof field 'data' must have one initialized field\n")
        if part.text == "" and not part.thought_signature:
            raise _invalid("Unable to submit request because it must have a text parameter.")


def _check_results(contents: list[Content]) -> None:
    """Every turn of calls is followed by one that has as many results, and nothing else is."""
    calls = 0
    for content in contents:
        results = sum(part.function_response is not None for part in content.parts)
        if results != calls and (results or calls):
            raise _invalid(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        calls = sum(part.function_call is not None for part in content.parts)


def _check_signatures(contents: list[Content]) -> None:
    """The first call of a turn is signed; a signature is one that was given out, or says that there is none."""
    for content in contents:
        calls = [part for part in content.parts if part.function_call is not None]
        if calls and not calls[0].thought_signature:
            raise _invalid("Function call is missing a thought_signature in functionCall parts.")
        if not all(_is_signature(part) for part in content.parts):
            raise _invalid("Thought signature is not valid.")


def _is_signature(part: Part) -> bool:
    if part.thought_signature is None:
        return True
    try:
        signature = base64.b64decode(part.thought_signature, validate=True)
    except binascii.Error:
        return False
    return signature in _UNSIGNED or signature.startswith(_SIGNED)


def _check_tools(body: Body) -> None:
    config = body.tool_config.function_calling_config if body.tool_config else None
    if config is None:
        return
    if config.mode is not None and config.mode not in _MODES:
        raise _invalid(f"Invalid value at 'tool_config.function_calling_config.mode' (TYPE_ENUM), \"{config.mode}\"")
    names = {declared.name for declared in _declared(body)}
    if config.mode == "ANY" and not names:
        raise _invalid("Function calling config is set without function_declarations.")
    if config.allowed_function_names and config.mode not in {"ANY", "VALIDATED"}:
        raise _invalid("allowed_function_names should only be set when the function calling mode is ANY or VALIDATED.")
    if not names.issuperset(config.allowed_function_names or ()):
        raise _invalid("allowed_function_names should be a subset of the function declarations' names.")


def _check_config(body: Body) -> None:
    config = body.generation_config
    if config is None:
        return
    if len(config.stop_sequences or ()) > _MOST_STOPS:
        raise _invalid(f"The stopSequences count must be in the range from 0 to {_MOST_STOPS} (inclusive).")
    if config.max_output_tokens is not None and config.max_output_tokens < 1:
        raise _invalid("max_output_tokens must be positive.")
    if config.temperature is not None and not 0 <= config.temperature <= _HIGHEST_TEMPERATURE:
        raise _invalid("temperature must be in the range [0.0, 2.0].")
    if config.response_json_schema is not None and config.response_mime_type != "application/json":
        raise _invalid("Response schema is only supported with response mime type: 'application/json'.")
    thinking = config.thinking_config
    if thinking is not None and thinking.thinking_level not in {*_LEVELS, None}:
        raise _invalid("Invalid value at 'generation_config.thinking_config.thinking_level' (TYPE_ENUM)")
    if thinking is not None and thinking.thinking_level is not None and thinking.thinking_budget is not None:
        raise _invalid("You can only set only one of thinking budget and thinking level.")


def _question(body: Body, model: str, *, stream: bool) -> Question:
    config = body.generation_config
    asked = [content for content in body.contents or () if content.role != "model"]
    last = asked[-1].parts if asked else []
    calling = (body.tool_config.function_calling_config if body.tool_config else None) or None
    mode = calling.mode if calling else None
    names = (calling.allowed_function_names if calling else None) or []
    tools = [_tool(declared) for declared in _declared(body) if not names or declared.name in names]
    ask = Ask(
        user_text=_text_of(last),
        results=[_result(part) for part in last if part.function_response is not None],
        tools=[] if mode == "NONE" else tools,
        forced=(names[0] if len(names) == 1 else "") if mode == "ANY" else None,
        thinking=_thinking(body),
        limit=config.max_output_tokens if config else None,
        stops=(config.stop_sequences if config else None) or [],
    )
    if config is not None and config.response_mime_type == "application/json":
        ask.schema = config.response_json_schema or config.response_schema or ANY_OBJECT
    return Question(model=model, ask=ask, tokens_in=_tokens_in(body), stream=stream)


def _thinking(body: Body) -> Literal["none", "shown"]:
    thinking = body.generation_config.thinking_config if body.generation_config else None
    return "shown" if thinking is not None and thinking.include_thoughts else "none"


def _declared(body: Body) -> list[FunctionDeclaration]:
    return [declared for tool in body.tools or () for declared in tool.function_declarations or ()]


def _tool(declared: FunctionDeclaration) -> Tool:
    return Tool(declared.name, declared.parameters_json_schema or declared.parameters or _NO_PARAMETERS)


def _text_of(parts: list[Part]) -> str:
    return "\n".join(part.text for part in parts if part.text)


def _result(part: Part) -> str:
    response = part.function_response.response if part.function_response else {}
    return "\n".join(value if isinstance(value, str) else str(value) for value in response.values())


def _tokens_in(body: Body) -> int:
    contents = [*(body.contents or ()), *([body.system_instruction] if body.system_instruction else [])]
    count = sum(count_words(_text_of(content.parts)) for content in contents)
    count += sum(count_words(_result(part)) for content in contents for part in content.parts)
    return max(1, count + sum(1 + count_words(declared.description or "") for declared in _declared(body)))
