"""Every case, from every dialect to every wire and back: providers are asked the same, clients told the same."""

from __future__ import annotations

import msgspec
import pytest

from shared.dialects import DIALECTS as SPOKEN
from tests.conformance.translation import cases
from tests.conformance.translation.dialects import DIALECTS
from tests.conformance.translation.exchange import Exchange
from tests.conformance.translation.refusals import DROPPED, REFUSED
from tests.conformance.translation.tally import count
from tests.conformance.translation.wires import NAMED_IN_URL, WIRES
from worker.providers.catalog import adapters, relays

ADAPTERS = {**adapters(), **relays()}


def meet(dialect, wire):
    """Whether clients of the dialect reach the wire: some wires are only spoken to those who speak them."""
    return wire.WIRE in adapters() or SPOKEN[dialect.DIALECT].wire == wire.WIRE


MEETINGS = [(dialect, wire) for dialect in DIALECTS for wire in WIRES if meet(dialect, wire)]
PAIRS = [pytest.param(dialect, wire, id=f"{dialect.DIALECT}-on-{wire.WIRE}") for dialect, wire in MEETINGS]


def request_of(dialect, case):
    """The case's request, None when the dialect cannot say it."""
    return dialect.REQUESTS.get(case) or (dialect.REQUESTS["text"] if case in cases.ANSWERS else None)


CELLS = [
    pytest.param(dialect, wire, case, id=f"{dialect.DIALECT}-on-{wire.WIRE}-{case}")
    for dialect, wire in MEETINGS
    for case in cases.REQUESTS
    if request_of(dialect, case) is not None
]


def exchange(dialect, wire, answer):
    return Exchange(SPOKEN[dialect.DIALECT], ADAPTERS[wire.WIRE], wire.ROW, wire.MODEL, answer)


def as_asked(dialect, wire, case, *, streamed):
    """The body that the provider must get."""
    if SPOKEN[dialect.DIALECT].wire == wire.WIRE:
        body = wire.passed_on(request_of(dialect, case))
    else:
        asked = wire.ASKED
        body = asked.get((dialect.DIALECT, case)) or asked.get(case, asked["text"])
    if wire in NAMED_IN_URL:
        return body
    return {**body, "model": wire.MODEL, **({"stream": True} if streamed else {})}


def as_told(dialect, wire, case):
    """The answer that the client must read."""
    told = wire.said(cases.answer_of(case))
    return msgspec.structs.replace(told, stop=dialect.stop(told, wire.HEARD.get(told.stop, told.stop)))


@pytest.mark.parametrize(("dialect", "wire", "case"), CELLS)
def test_a_cell(gateway, dialect, wire, case):
    client, cell, body = gateway.clients[dialect.DIALECT], (dialect.DIALECT, wire.WIRE, case), request_of(dialect, case)
    gateway.exchange = found = exchange(dialect, wire, wire.answer(cases.answer_of(case)))
    if cell in REFUSED:
        assert dialect.refusal(client, body) == (400, REFUSED[cell])
        assert not found.asked
        count(dialect.DIALECT, wire.WIRE, "documented 400s")
        return
    plain, shown = dialect.ask(client, body)
    streamed, accumulated = dialect.follow(client, body)
    plain_asked, stream_asked = found.asked
    stream_asked.pop("stream_options", None)
    assert plain_asked == as_asked(dialect, wire, case, streamed=False)
    assert stream_asked == as_asked(dialect, wire, case, streamed=True)
    assert found.dropped == DROPPED.get(cell, ())
    assert plain == as_told(dialect, wire, case)
    assert streamed == plain
    assert accumulated == shown
    count(dialect.DIALECT, wire.WIRE, "passed")


def test_every_documented_refusal_and_loss_is_a_cell():
    cells = {(dialect.DIALECT, wire.WIRE, case) for dialect, wire, case in (cell.values for cell in CELLS)}
    assert {*REFUSED, *DROPPED} <= cells
    assert {*cases.ANSWERS} <= {*cases.REQUESTS}


ERRORS = [
    pytest.param(dialect, wire, name, id=f"{dialect.DIALECT}-on-{wire.WIRE}-{name}")
    for dialect, wire in MEETINGS
    for name in wire.ERRORS
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("dialect", "wire", "name"), ERRORS)
def test_an_error_of_the_provider(gateway, dialect, wire, name, streamed):
    gateway.exchange = exchange(dialect, wire, wire.ERRORS[name])
    error = dialect.error(gateway.clients[dialect.DIALECT], dialect.REQUESTS["text"], streamed=streamed)
    assert error.status_code == dialect.ERRORS[name]
    assert cases.ERRORS[name] in str(error)
    told_s = cases.MORE_WAITS_S.get((wire.WIRE, name))
    is_final = name in cases.FINAL and told_s is None
    assert error.response.headers.get("retry-after") == (told_s or cases.WAITS_S.get(name))
    assert error.response.headers.get("x-should-retry") == ("false" if is_final else None)
    count(dialect.DIALECT, wire.WIRE, "passed")


@pytest.mark.parametrize(("dialect", "wire"), PAIRS)
def test_a_stream_that_breaks(gateway, dialect, wire):
    gateway.exchange = exchange(dialect, wire, wire.broken())
    error = dialect.error(gateway.clients[dialect.DIALECT], dialect.REQUESTS["text"], streamed=True)
    assert cases.ERRORS["overloaded"] in str(error)
    count(dialect.DIALECT, wire.WIRE, "passed")


KEPT = {
    ("anthropic", "anthropic", "anthropic"): [(cases.THOUGHT, cases.SIGNATURE)],
    ("anthropic", "openai_chat", "openai_chat"): [(cases.THOUGHT, "")],
    ("anthropic", "bedrock", "bedrock"): [(cases.THOUGHT, cases.SIGNATURE)],
    ("openai_chat", "openai_chat", "openai_chat"): [(cases.THOUGHT, "")],
    ("openai_chat", "anthropic", "openai_chat"): [(cases.THOUGHT, "")],  # the client's own words, in its own wire
    ("openai_chat", "bedrock", "openai_chat"): [(cases.THOUGHT, "")],  # likewise
    ("openai_responses", "bedrock", "bedrock"): [(cases.THOUGHT, cases.SIGNATURE)],
    ("openai_responses", "anthropic", "anthropic"): [(cases.THOUGHT, cases.SIGNATURE)],
    ("openai_responses", "openai_chat", "openai_chat"): [(cases.THOUGHT, "")],
    ("anthropic", "gemini", "gemini"): [(cases.THOUGHT, cases.SIGNATURE)],
    ("openai_responses", "gemini", "gemini"): [(cases.THOUGHT, cases.SIGNATURE)],
    ("openai_chat", "gemini", "openai_chat"): [(cases.THOUGHT, "")],  # likewise
    ("openai_responses", "openai_responses", "openai_responses"): [(cases.THOUGHT, cases.SIGNATURE)],
}
"""(dialect, first wire, then wire): the thinking of the first that goes back. Chat Completions have no place for a
signature, and without it Anthropic takes none back."""


RETURNS = [
    pytest.param(dialect, first, then, id=f"{dialect.DIALECT}-on-{first.WIRE}-then-{then.WIRE}")
    for dialect, first in MEETINGS
    for then in WIRES
    if meet(dialect, then)
]


@pytest.mark.parametrize(("dialect", "first", "then"), RETURNS)
def test_thinking_goes_back_to_its_maker_alone(gateway, dialect, first, then):
    client = gateway.clients[dialect.DIALECT]
    gateway.exchange = reasons(dialect, first)
    _, shown = dialect.follow(client, dialect.REQUESTS["text"])
    gateway.exchange = found = reasons(dialect, then)
    dialect.ask(client, dialect.going_on(shown))
    assert then.thoughts(found.asked[0]) == KEPT.get((dialect.DIALECT, first.WIRE, then.WIRE), [])
    count(dialect.DIALECT, then.WIRE, "passed")


def reasons(dialect, wire):
    answer = wire.answer(cases.ANSWERS["thinking"])
    return Exchange(SPOKEN[dialect.DIALECT], ADAPTERS[wire.WIRE], wire.REASONING_ROW, wire.REASONING_MODEL, answer)
