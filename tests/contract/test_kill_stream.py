"""A background response goes on when a process of the gateway dies, and its events are had again without a gap."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.contract.asking import KEY
from tests.contract.process import Gateway, eventually
from tests.contract.test_kill import RECOVERED_WITHIN_S, called, end_all, healthy
from tests.contract.wire import Ledger

BOTH_WIRES = pytest.mark.parametrize("provider", ["", "anthropic/"])
SLOW = "sim-rate-10+words-60"
LATE = "sim-latency-4000+words-60"
SEEN_BEFORE = 15


@pytest.fixture
def client(own_gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=own_gateway.openai, api_key=KEY, max_retries=0, timeout=RECOVERED_WITHIN_S) as made:
        yield made


def begun(client: openai.OpenAI, model: str, user: str) -> Any:
    return client.responses.create(model=model, input="Hello!", user=user, background=True, stream=True)


def watch(stream: Iterable[Any], seen: list[Any], act: Callable[[], None]) -> None:
    """Keeps every event; acts once, in the middle."""
    for event in stream:
        seen.append(event)
        if len(seen) == SEEN_BEFORE:
            act()


def text_of(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def assert_gap_free(events: list[Any], ending: str) -> None:
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == ending
    assert events[-1].response.id == events[0].response.id


@BOTH_WIRES
def test_a_client_whose_api_process_dies_resumes_behind_the_last_event_it_saw(
    own_gateway: Gateway, client: openai.OpenAI, ledger: Ledger, user, provider
):
    seen: list[Any] = []
    with begun(client, provider + SLOW, user) as stream, pytest.raises(openai.APIConnectionError):
        watch(stream, seen, lambda: end_all(own_gateway, "api"))
    eventually(lambda: healthy(own_gateway), RECOVERED_WITHIN_S, "the API is not back")
    name = seen[0].response.id
    with client.responses.retrieve(name, stream=True, starting_after=seen[-1].sequence_number) as rest:
        seen += rest
    assert_gap_free(seen, "response.completed")
    assert text_of(seen) == client.responses.retrieve(name).output_text
    assert len(text_of(seen).split()) == 60
    assert [call["finished"] for call in ledger.calls(user)] == [True]


@BOTH_WIRES
def test_a_stream_goes_on_when_the_worker_dies_before_its_first_word(
    own_gateway: Gateway, client: openai.OpenAI, ledger: Ledger, user, provider
):
    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(lambda: list(begun(client, provider + LATE, user)))
        called(ledger, user)
        end_all(own_gateway, "worker")
        seen = streaming.result(RECOVERED_WITHIN_S)
    assert_gap_free(seen, "response.completed")
    assert text_of(seen) == client.responses.retrieve(seen[0].response.id).output_text
    assert len(text_of(seen).split()) == 60
    assert [call["finished"] for call in ledger.calls(user)] == [False, True]


@BOTH_WIRES
def test_a_stream_whose_worker_dies_in_the_middle_ends_as_failed(
    own_gateway: Gateway, client: openai.OpenAI, ledger: Ledger, user, provider
):
    seen: list[Any] = []
    watch(begun(client, provider + SLOW, user), seen, lambda: end_all(own_gateway, "worker"))
    assert_gap_free(seen, "response.failed")
    failed = client.responses.retrieve(seen[0].response.id)
    assert (failed.status, failed.error) == ("failed", seen[-1].response.error)
    assert failed.error.message
    with client.responses.retrieve(failed.id, stream=True, starting_after=3) as again:
        assert [event.to_dict() for event in again] == [event.to_dict() for event in seen[4:]]
    assert len(ledger.calls(user)) == 1
