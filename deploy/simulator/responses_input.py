"""Reads the input of a Responses request, item by item, and refuses what the vendor refuses, in its words."""

from __future__ import annotations

from typing import Any

import msgspec

from deploy.simulator.answers import count_words
from deploy.simulator.openai_refusals import check_one_of, decode, invalid, missing
from deploy.simulator.seal import is_sealed

_ROLES = ("assistant", "system", "developer", "user")
_INPUT_PARTS = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUT_PARTS = ("output_text", "refusal")
_TEXT_PARTS = ("input_text", "output_text")
_SHOWN = 4
"""Characters at both ends of a seal that a refusal repeats."""


class Input(msgspec.Struct, frozen=True):
    """What of the input decides the answer.

    Attributes:
        user_text: of the last user message.
        results: texts of the outputs of functions at the end.
        tokens: words of all texts.
    """

    user_text: str
    results: list[str]
    tokens: int


class _Kind(msgspec.Struct):
    type: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part]
    role: str = ""


class _FunctionCall(msgspec.Struct):
    call_id: str
    name: str
    arguments: str


class _FunctionOutput(msgspec.Struct):
    call_id: str
    output: str | list[_Part]


class _Thought(msgspec.Struct):
    encrypted_content: str | None = None


class _Other(msgspec.Struct):
    """Items of the vendor's own tools and whatever else there is: read past, but for the calls they may be."""

    call_id: Any = None


_Item = _Message | _FunctionCall | _FunctionOutput | _Thought | _Other

_KIND = msgspec.json.Decoder(_Kind)
_OTHER: msgspec.json.Decoder[_Item] = msgspec.json.Decoder(_Other)
_ITEMS: dict[str, msgspec.json.Decoder[_Item]] = {
    "message": msgspec.json.Decoder(_Message),
    "function_call": msgspec.json.Decoder(_FunctionCall),
    "function_call_output": msgspec.json.Decoder(_FunctionOutput),
    "reasoning": msgspec.json.Decoder(_Thought),
}


def read_input(given: str | list[msgspec.Raw]) -> Input:
    """The input, when every item of it is fit to be answered."""
    if isinstance(given, str):
        return Input(given, [], count_words(given))
    items = [_read_item(raw, f"input[{number}]") for number, raw in enumerate(given)]
    _check_calls(items)
    said = [_text_of(item.content) for item in items if isinstance(item, _Message)]
    asked = [_text_of(item.content) for item in items if isinstance(item, _Message) and item.role == "user"]
    told = [_text_of(item.output) for item in items if isinstance(item, _FunctionOutput)]
    tokens = sum(count_words(text) for text in said + told)
    return Input(asked[-1] if asked else "", _last_results(items), tokens)


def _read_item(raw: msgspec.Raw, at: str) -> _Item:
    item = decode(_ITEMS.get(decode(_KIND, raw, at).type or "message", _OTHER), raw, at)
    match item:
        case _Message(role=role, content=content):
            check_one_of(role, _ROLES, at)
            _check_parts(content, _OUTPUT_PARTS if role == "assistant" else _INPUT_PARTS, f"{at}.content")
        case _FunctionOutput(output=output):
            _check_parts(output, _INPUT_PARTS, f"{at}.output")
        case _Thought(encrypted_content=str(content)) if not is_sealed(content):
            ends = f"{content[:_SHOWN]}...{content[-_SHOWN:]}"
            reason = "Encrypted content could not be decrypted or parsed."
            message = f"The encrypted content {ends} could not be verified. Reason: {reason}"
            raise invalid(message, None, "invalid_encrypted_content")
    return item


def _check_parts(content: str | list[_Part], supported: tuple[str, ...], at: str) -> None:
    for number, part in enumerate([] if isinstance(content, str) else content):
        check_one_of(part.type, supported, f"{at}[{number}]")
        if part.type in _TEXT_PARTS and part.text is None:
            raise missing(f"{at}[{number}].text")


def _check_calls(items: list[_Item]) -> None:
    """Every call of a function has its output somewhere in the input, and every output some call."""
    calls = [item.call_id for item in items if isinstance(item, _FunctionCall)]
    others = [item.call_id for item in items if isinstance(item, _Other)]
    outputs = [item.call_id for item in items if isinstance(item, _FunctionOutput)]
    for call in outputs:
        if call not in calls + others:
            raise invalid(f"No tool call found for function call output with call_id {call}.", "input")
    for call in calls:
        if call not in outputs:
            raise invalid(f"No tool output found for function call {call}.", "input")


def _last_results(items: list[_Item]) -> list[str]:
    results: list[str] = []
    for item in reversed(items):
        if not isinstance(item, _FunctionOutput):
            break
        results.insert(0, _text_of(item.output))
    return results


def _text_of(content: str | list[_Part]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if part.text)
