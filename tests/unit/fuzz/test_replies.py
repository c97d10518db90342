"""Whatever a provider answers, the job ends and its client can read how."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from shared.chat import RedactedThinking, Refusal, Text, Thinking, ToolCall
from shared.dialects import DIALECTS
from shared.events import (
    ArgumentsDelta,
    Broken,
    CitationDelta,
    Event,
    Finished,
    PartStarted,
    PartStopped,
    SignatureDelta,
    Started,
    TextDelta,
)
from shared.sse import FrameReader
from tests.unit.fuzz.bodies import SURFACES
from tests.unit.fuzz.checks import is_json, told
from tests.unit.fuzz.mutations import written
from tests.unit.fuzz.often import often
from tests.unit.fuzz.pipeline import PROVIDERS, Way
from tests.unit.fuzz.replies import Seed, replies, seeds
from worker.providers.catalog import ROWS, adapters

EXAMPLES = 150
ADAPTERS = adapters()
HEAD = {"content-type": "application/json"}

_STATUSES = st.sampled_from([301, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529, 599])
_ODD_HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "x-should-retry", "date", "content-type"]),
    st.sampled_from(["1", "-1", "1e308", "1e309", "nan", "x", "", "true", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99"]),
    max_size=3,
)
_ERRORS = st.sampled_from(
    [
        {"type": "error", "error": {"type": "rate_limit_error", "message": "m", "details": {"error_code": "c"}}},
        {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}},
        {"error": {"message": "m", "type": "t", "code": 429, "status": "RESOURCE_EXHAUSTED"}},
        [{"error": {"message": "m", "code": 503}}],
        {"error": "m"},
        {"detail": [{"loc": ["body"], "msg": "m"}]},
        {"message": "m", "status_code": 400},
    ]
).flatmap(written)
"""What providers and their proxies put into an answer that is an error."""
_MODELS = [
    {"id": "a", "object": "model", "created": 1_767_225_600, "owned_by": "me"},
    {"type": "model", "id": "b", "display_name": "B", "created_at": "2026-01-01T00:00:00Z"},
]
_LISTS = st.sampled_from([{"object": "list", "data": _MODELS}, {"data": _MODELS, "has_more": False}, _MODELS]).flatmap(
    written
)


@pytest.mark.parametrize(("name", "operation"), SURFACES)
def test_a_job_ends_whatever_its_provider_answers(way: Way, name: str, operation: str) -> None:
    @often(EXAMPLES)
    @given(replies(seeds(way, name, operation)))
    def follow(answered: tuple[Seed, bytes]) -> None:
        seed, reply = answered
        ended = way.work(seed.job, seed.provider, seed.body, lambda _: httpx.Response(200, headers=HEAD, content=reply))
        told(way, seed.job, seed.body, ended, well_formed=_translated(seed) or is_json(reply, doubtful=False))
        event(f"{seed.provider}, {'streamed' if seed.job.stream else 'plain'}: {ended.outcome.status}")

    follow()


@pytest.mark.parametrize(("name", "operation"), SURFACES)
def test_a_job_ends_whatever_its_provider_fails_with(way: Way, name: str, operation: str) -> None:
    @often(EXAMPLES)
    @given(st.sampled_from(seeds(way, name, operation)), _STATUSES, _ODD_HEADERS, _ERRORS)
    def follow(seed: Seed, status: int, head: dict[str, str], reply: bytes) -> None:
        ended = way.work(
            seed.job, seed.provider, seed.body, lambda _: httpx.Response(status, headers=head, content=reply)
        )
        told(way, seed.job, seed.body, ended)
        assert ended.outcome.status >= 400

    follow()


def test_models_are_listed_whatever_is_in_the_lists(way: Way) -> None:
    @often(EXAMPLES)
    @given(_LISTS, _LISTS)
    def follow(openai: bytes, anthropic: bytes) -> None:
        job, ended = way.list_models(
            lambda request: httpx.Response(200, content=anthropic if "limit" in request.url.params else openai)
        )
        told(way, job, b"", ended)

    follow()


@pytest.mark.parametrize("wire", sorted({ROWS[name].wire for name in PROVIDERS}))
def test_the_events_of_any_stream_come_in_their_order(way: Way, wire: str) -> None:
    row = next(row for row in ROWS.values() if row.wire == wire)
    streams = [seed for seed in _of_wire(way, wire) if seed.job.stream]

    @often(EXAMPLES)
    @given(replies(streams))
    def follow(answered: tuple[Seed, bytes]) -> None:
        parser, reader, events = ADAPTERS[wire].stream(row), FrameReader(), []
        for frame in [*reader.feed(answered[1]), *reader.close()]:
            events += parser.feed(frame)
        events += parser.close()
        assert _in_order(events), events

    follow()


def _translated(seed: Seed) -> bool:
    """Whether every byte that the client gets is the gateway's own."""
    row = ROWS[seed.provider]
    return DIALECTS[seed.job.dialect].wire not in {row.wire, *row.relays}


def _of_wire(way: Way, wire: str) -> list[Seed]:
    """Answers in `wire`: they do not depend on the dialect of the question."""
    surface = next(surface for surface in SURFACES if surface[1] == "chat")
    return [seed for seed in seeds(way, *surface) if ROWS[seed.provider].wire == wire]


_LETTERS: dict[type, str] = {
    Started: "S",
    Text: "t",
    Refusal: "t",
    Thinking: "h",
    RedactedThinking: "r",
    ToolCall: "c",
    TextDelta: "d",
    CitationDelta: "d",
    SignatureDelta: "s",
    ArgumentsDelta: "a",
    PartStopped: ".",
    Finished: "F",
    Broken: "B",
}
_PART = r"(td*|h[ds]*|r|ca*)"
_ORDER = re.compile(rf"S({_PART}\.)*F|(S({_PART}\.)*{_PART}?)?B")
"""What `shared/events.py` promises."""


def _in_order(events: list[Event]) -> bool:
    """In the promised order, and every event of a part with the number of parts that ended before it."""
    word = "".join(_LETTERS[type(one.part if isinstance(one, PartStarted) else one)] for one in events)
    ended = [word[:at].count(".") for at in range(len(word))]
    return _ORDER.fullmatch(word) is not None and all(
        getattr(one, "index", number) == number for one, number in zip(events, ended, strict=True)
    )
