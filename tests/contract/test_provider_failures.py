"""What goes wrong at the provider reaches the client as the vendor's own error, or is healed by a retry.

The simulator obeys the model's name: `sim-429` answers with that status, `sim-cut` closes the connection, `-once`
does so only for the first call with the same body.
"""

from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import KEY, PROMPT, completion, message
from tests.contract.jobs import BODIES, BOTH, PATHS, marked, polled, submit
from tests.contract.process import Gateway
from tests.contract.wire import Ledger, ask

FAILURES: list[tuple[str, set[int], type[Exception], type[Exception]]] = [
    ("sim-400", {400}, anthropic.BadRequestError, openai.BadRequestError),
    ("sim-401", {502}, anthropic.InternalServerError, openai.InternalServerError),
    ("sim-404", {404}, anthropic.NotFoundError, openai.NotFoundError),
    ("sim-422", {400}, anthropic.BadRequestError, openai.BadRequestError),
    ("sim-429", {429}, anthropic.RateLimitError, openai.RateLimitError),
    ("sim-500", {500}, anthropic.InternalServerError, openai.InternalServerError),
    ("sim-529", {529, 503}, anthropic.APIStatusError, openai.InternalServerError),
    ("sim-cut", {502}, anthropic.InternalServerError, openai.InternalServerError),
    ("sim-garbage", {502}, anthropic.InternalServerError, openai.InternalServerError),
]
"""Model, status the client sees, the class each SDK raises."""
IDS = [row[0] for row in FAILURES]
IMPATIENT = {"x-stainless-timeout": "5"}
"""The gateway waits for a provider that says "later" as long as the client would."""


def stream_of(client: Any, surface: str, model: str) -> Any:
    if surface == "anthropic":
        return client.messages.create(**message(model=model), stream=True, extra_headers=IMPATIENT)
    return client.chat.completions.create(**completion(model=model), stream=True, extra_headers=IMPATIENT)


@pytest.mark.parametrize("provider", ["", "openai/"])
@pytest.mark.parametrize(("model", "statuses", "raised", "_"), FAILURES, ids=IDS)
def test_the_anthropic_sdk_raises_the_right_class(claude: anthropic.Anthropic, provider, model, statuses, raised, _):
    with pytest.raises(raised) as failed:
        claude.messages.create(**message(model=provider + model), extra_headers=IMPATIENT)
    assert failed.value.status_code in statuses
    assert failed.value.body["type"] == "error"
    assert failed.value.body["request_id"] == failed.value.request_id
    assert KEY not in str(failed.value)
    assert PROMPT not in str(failed.value)


@pytest.mark.parametrize("gpt", ["/openai"], indirect=True)
@pytest.mark.parametrize("provider", ["", "anthropic/"])
@pytest.mark.parametrize(("model", "statuses", "_", "raised"), FAILURES, ids=IDS)
def test_the_openai_sdk_raises_the_right_class(gpt: openai.OpenAI, provider, model, statuses, _, raised):
    with pytest.raises(raised) as failed:
        gpt.chat.completions.create(**completion(model=provider + model), extra_headers=IMPATIENT)
    assert failed.value.status_code in statuses
    assert failed.value.body.keys() == {"message", "type", "param", "code"}
    assert failed.value.request_id
    assert KEY not in str(failed.value)
    assert PROMPT not in str(failed.value)


def test_anthropics_overload_keeps_its_name(claude: anthropic.Anthropic):
    with pytest.raises(anthropic.OverloadedError) as failed:
        claude.messages.create(**message(model="sim-529"))
    assert failed.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("gpt", ["/openai"], indirect=True)
@pytest.mark.parametrize("surface", list(PATHS))
@pytest.mark.parametrize("model", ["sim-404", "sim-429", "sim-cut", "sim-garbage", "sim-stream-error-first"])
def test_a_stream_that_fails_before_it_begins_is_a_plain_error(claude, gpt, surface, model):
    with pytest.raises((anthropic.APIStatusError, openai.APIStatusError)) as failed:
        stream_of(claude if surface == "anthropic" else gpt, surface, model)
    assert failed.value.status_code >= 400


@pytest.mark.parametrize("gpt", ["/openai"], indirect=True)
@pytest.mark.parametrize("surface", list(PATHS))
@pytest.mark.parametrize("provider", ["anthropic/", "openai/"])
@pytest.mark.parametrize("model", ["sim-cut-stream", "sim-stream-error"])
def test_a_stream_that_breaks_off_raises_after_what_had_arrived(claude, gpt, surface, provider, model):
    seen: list[Any] = []
    stream = stream_of(claude if surface == "anthropic" else gpt, surface, provider + model)
    with stream, pytest.raises((anthropic.APIError, openai.APIError)):
        seen.extend(stream)
    assert seen


@BOTH
@pytest.mark.parametrize("fault", ["sim-429-once", "sim-500-once", "sim-529-once", "sim-cut-once", "sim-garbage-once"])
def test_a_passing_failure_is_healed_by_one_more_attempt(gateway: Gateway, ledger: Ledger, surface, fault, user):
    answer = ask(gateway.url, "POST", PATHS[surface], marked(surface, user, model=fault))
    assert answer.status == 200, answer.body
    assert len(ledger.calls(user)) == 2


@BOTH
@pytest.mark.parametrize("fault", ["sim-cut-once", "sim-stream-error-first-once", "sim-stream-error-head-once"])
def test_a_stream_is_tried_again_while_nothing_was_sent(gateway: Gateway, ledger: Ledger, surface, fault, user):
    answer = ask(gateway.url, "POST", PATHS[surface], marked(surface, user, model=fault, stream=True))
    assert answer.status == 200, answer.body
    assert len(ledger.calls(user)) == 2


REFUSED = "sim-401+words-9"
"""A model of one test's own: for a while nobody asks again for one that was refused."""


@BOTH
@pytest.mark.parametrize("first", [REFUSED, "sim-404+words-9"])
def test_a_fallback_answers_when_the_first_choice_fails(gateway: Gateway, ledger: Ledger, surface, user, first):
    other = "openai/gpt-4o-mini" if surface == "anthropic" else "anthropic/claude-haiku-5-5"
    answer = ask(gateway.url, "POST", PATHS[surface], marked(surface, user, model=first, fallbacks=[other]))
    assert answer.status == 200, answer.body
    assert [call["model"] for call in ledger.calls(user)] == [first, other.partition("/")[2]]


@BOTH
@pytest.mark.parametrize(("model", "statuses"), [("sim-404", {404}), ("sim-500", {500})])
def test_a_failed_job_answers_its_poll_with_the_error_and_no_sdk_asks_again(gateway: Gateway, surface, model, statuses):
    job = submit(gateway, surface, BODIES[surface](model=model)).json["id"]
    failed = polled(gateway, surface, job)
    assert failed.status in statuses
    assert failed.json["error"]["message"]
    assert failed.headers["x-should-retry"] == "false"
    assert failed.headers["x-bf-async-status"] == "failed"
