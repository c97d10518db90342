"""What every path of OpenAI refuses alike, in its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from deploy.simulator.answers import Tool
from deploy.simulator.wires import Problem, Refusal, problem_of

_NAMES = {"int": "integer", "str": "string", "bool": "boolean", "float": "decimal"}

_Body = TypeVar("_Body")


def decode(decoder: msgspec.json.Decoder[_Body], raw: bytes | msgspec.Raw, at: str = "") -> _Body:
    """The body in `raw`; refuses what does not fit, naming the field below `at`, the path of `raw` itself."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _misfit(problem_of(error), at) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "We could not parse the JSON body of your request.") from error


def invalid(message: str, param: str | None, code: str | None = None) -> Refusal:
    """A body that cannot be served."""
    return Refusal(400, message, param=param, code=code)


def missing(param: str) -> Refusal:
    """A field that has to be there."""
    return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")


def check_least(number: int | None, least: int, param: str) -> None:
    """Refuses a number below `least`."""
    if number is not None and number < least:
        message = f"integer below minimum value. Expected a value >= {least}, but got {number} instead."
        raise invalid(f"Invalid '{param}': {message}", param, "integer_below_min_value")


def check_decimal(number: float | None, highest: int, param: str) -> None:
    """Refuses a number below 0 or above `highest`."""
    if number is None or 0 <= number <= highest:
        return
    side, bound, code = (
        ("below minimum", ">= 0", "below_min") if number < 0 else ("above maximum", f"<= {highest}", "above_max")
    )
    message = f"decimal {side} value. Expected a value {bound}, but got {number:g} instead."
    raise invalid(f"Invalid '{param}': {message}", param, f"decimal_{code}_value")


def check_one_of(value: str | None, supported: Sequence[str], param: str) -> None:
    """Refuses a word that is not among the two or more `supported`."""
    if value is not None and value not in supported:
        *most, last = (f"'{word}'" for word in supported)
        listed = f"{', '.join(most)}{',' if len(most) > 1 else ''} and {last}"
        raise invalid(f"Invalid value: '{value}'. Supported values are: {listed}.", param, "invalid_value")


def check_known_tool(name: str | None, tools: list[Tool]) -> None:
    """Refuses a choice of a tool that was not brought along."""
    if name and name not in {tool.name for tool in tools}:
        raise invalid(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _misfit(problem: Problem, at: str) -> Refusal:
    steps = (f"[{step}]" if step.isdigit() or step == "..." else f".{step}" for step in problem.path)
    param = (at + "".join(steps)).removeprefix(".")
    if problem.unknown:
        return invalid(f"Unknown parameter: '{param}'.", param, "unknown_parameter")
    if not problem.expected:
        return missing(param)
    wanted = [_named(name) for name in problem.expected.split(" | ") if name != "null"]
    expected = wanted[0] if len(wanted) == 1 else f"one of {' or '.join(wanted)}"
    message = f"Invalid type for '{param}': expected {expected}, but got {_named(problem.got)} instead."
    return invalid(message, param, "invalid_type")


def _named(kind: str) -> str:
    name = _NAMES.get(kind, kind)
    return f"an {name}" if name[:1] in "aeiou" else f"a {name}"
