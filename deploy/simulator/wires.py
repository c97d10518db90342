"""What the wires have in common: the question read from a body, the refusal, the row of functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from deploy.simulator.answers import Answer, Ask
from deploy.simulator.http import EVENT_STREAM

_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_EXPECTED = re.compile(r"Expected `(?P<expected>.*?)`(?:, got `(?P<got>.*)`)?.*", re.DOTALL)


class Question(msgspec.Struct, kw_only=True):
    """A valid request.

    Attributes:
        user: the caller's own mark, for the ledger.
        tokens_in: words of the prompt and of the tools' descriptions.
        with_usage: OpenAI streams say what was used only when asked.
        copies: OpenAI's `n`.
    """

    model: str
    ask: Ask
    tokens_in: int
    stream: bool = False
    user: str = ""
    with_usage: bool = False
    copies: int = 1


class Refusal(Exception):
    """An answer that is an error.

    `param` exists on OpenAI's wire only; `code` is Anthropic's `details.error_code`, or the type of AWS's exception;
    `details` are Google's, None for those that the status has by itself.
    """

    details: list[dict[str, Any]] | None = None

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


class Problem(msgspec.Struct, frozen=True):
    """Why a body does not fit. `path` holds names and numbers; `expected` is empty when a field is missing."""

    path: list[str]
    expected: str
    got: str
    unknown: bool = False


AnyQuestion = TypeVar("AnyQuestion", bound=Question)


class Wire(msgspec.Struct, Generic[AnyQuestion], frozen=True, kw_only=True):
    """How one vendor speaks on one path.

    Attributes:
        check: refuses headers; the flag says whether a key is needed.
        read: body to question; refuses what the vendor refuses.
        plain: question, answer and id to a body.
        stream: the same to events, the pieces in which they are sent; None where nothing is streamed.
        error: refusal and request id to a body.
        ordered: the refusal for a status that the model of that name orders.
        models: query to a list of models.
        model: name to one model.
        broken: the pieces sent so far to the event that ends a stream with an error.
        overloaded: the status that means the same to a plain request.
        request_id: name of the header.
        error_type: name of the header that holds a refusal's `code`, where one does.
        stream_type: of the content of a stream, as a header's line.
        limits: the vendor in whose form limits are told, see `limit_forms`.
    """

    check: Callable[[dict[str, str], bool], None]
    read: Callable[[bytes, dict[str, str]], AnyQuestion]
    plain: Callable[[AnyQuestion, Answer, str], bytes]
    stream: Callable[[AnyQuestion, Answer, str], list[bytes]] | None
    error: Callable[[Refusal, str], bytes]
    ordered: Callable[[int, str], Refusal]
    models: Callable[[str], bytes]
    model: Callable[[str], bytes]
    broken: Callable[[list[bytes]], bytes]
    overloaded: int
    request_id: bytes
    error_type: bytes = b""
    stream_type: bytes = EVENT_STREAM
    limits: str = "openai"


def problem_of(error: msgspec.ValidationError) -> Problem:
    """Takes apart what msgspec says about the first field that does not fit."""
    found = _PROBLEM.fullmatch(str(error))
    what, path = (found["what"], found["path"] or "$") if found else (str(error), "$")
    steps = [step for step in re.split(r"[.\[\]]+", path) if step not in {"$", ""}]
    if missing := _MISSING.fullmatch(what):
        return Problem([*steps, missing["name"]], "", "")
    if unknown := _UNKNOWN.fullmatch(what):
        return Problem([*steps, unknown["name"]], "", "", unknown=True)
    expected = _EXPECTED.fullmatch(what)
    return Problem(steps, *((expected["expected"], expected["got"] or "") if expected else (what, "")))
