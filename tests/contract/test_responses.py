"""OpenAI's Responses: every use of the SDKs, and what a client may not do."""

import pytest

from tests.contract.asking import PROMPT
from tests.contract.examples import Example
from tests.contract.jobs import DONE_WITHIN_S
from tests.contract.process import Gateway, eventually
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk
from tests.contract.wire import Answer, Ledger, ask

YOUNGER = "the helper is younger than this generation"
LACKING = {"input_tokens": {"python-old": YOUNGER, "javascript-old": YOUNGER}}
"""Which helpers a generation lacks, and why."""
BOTH_WIRES = pytest.mark.parametrize("model", ["gpt-sim-large", "anthropic/claude-sim-large"])
BASES = ("/openai", "/openai/v1")
UNKNOWN = "resp_00000000000040008000000000000000"


def create(gateway: Gateway, model: str, base: str = "/openai", **fields: object) -> Answer:
    return ask(gateway.url, "POST", f"{base}/responses", {"model": model, "input": PROMPT, **fields})


def assert_refused(answer: Answer, status: int, names: str = "") -> None:
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert names in f"{error['message']} {error['param']}"
    assert PROMPT not in answer.body.decode()


@pytest.mark.parametrize(("sdk", "script"), runs("responses", LACKING), indirect=["sdk"])
def test_a_use_of_responses_works_with_both_providers(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)


@pytest.mark.parametrize("base", BASES)
@BOTH_WIRES
def test_every_route_is_served_with_and_without_the_version(gateway: Gateway, base, model):
    begun = create(gateway, model, base, background=True).json
    found = eventually(
        lambda: (
            (answer := ask(gateway.url, "GET", f"{base}/responses/{begun['id']}").json)["status"] == "completed"
            and answer
        ),
        DONE_WITHIN_S,
        "the response is not completed",
    )
    assert found["output"][0]["content"][0]["text"]
    assert ask(gateway.url, "GET", f"{base}/responses/{begun['id']}/input_items").json["object"] == "list"
    assert ask(gateway.url, "POST", f"{base}/responses/{begun['id']}/cancel").json["status"] == "completed"
    assert ask(gateway.url, "DELETE", f"{base}/responses/{begun['id']}").status == 200
    assert_refused(ask(gateway.url, "GET", f"{base}/responses/{begun['id']}"), 404)


@BOTH_WIRES
def test_a_response_that_is_not_to_be_stored_is_not_found(gateway: Gateway, model):
    answered = create(gateway, model, store=False)
    assert answered.status == 200, answered.body
    assert_refused(ask(gateway.url, "GET", f"/openai/responses/{answered.json['id']}"), 404)


@BOTH_WIRES
def test_a_response_of_another_caller_is_not_found(gateway: Gateway, model):
    def as_caller(method: str, path: str, key: str, body: object = None) -> Answer:
        return ask(gateway.url, method, f"/openai/responses{path}", body, {"x-bf-vk": key})

    name = as_caller("POST", "", "vk-mine", {"model": model, "input": PROMPT}).json["id"]
    assert as_caller("GET", f"/{name}", "vk-mine").status == 200
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert_refused(as_caller(method, f"/{name}{path}", "vk-another"), 404)
    continued = {"model": model, "input": PROMPT, "previous_response_id": name}
    assert as_caller("POST", "", "vk-another", continued).status in {400, 404}
    assert as_caller("POST", "", "vk-mine", continued).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")]
)
@pytest.mark.parametrize("name", [UNKNOWN, "resp_1", "no-such-response"])
def test_a_response_that_does_not_exist_is_not_found(gateway: Gateway, method, path, name):
    assert_refused(ask(gateway.url, method, f"/openai/responses/{name}{path}"), 404)


@BOTH_WIRES
@pytest.mark.parametrize("how", [{}, {"background": True}, {"stream": True}])
@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"model": 5}, "model"),
        ({"model": "groq/llama"}, "model"),
        ({"input": 5}, "input"),
        ({"stream": "yes"}, "stream"),
        ({"background": "yes"}, "background"),
        ({"previous_response_id": UNKNOWN}, "previous_response_id"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_request_is_refused_with_the_field(gateway: Gateway, model, how, fields, names):
    answer = create(gateway, **{"model": model, **how, **fields})
    assert answer.status in {400, 404} if names == "previous_response_id" else answer.status == 400, answer.body
    assert_refused(answer, answer.status, names)


def test_a_stream_cannot_be_a_job_of_the_headers(gateway: Gateway):
    asked = {"model": "gpt-sim-large", "input": PROMPT, "stream": True}
    assert_refused(ask(gateway.url, "POST", "/openai/responses", asked, {"x-bf-async": "true"}), 400, "stream")


@BOTH_WIRES
def test_a_stream_is_named_events_with_nothing_after_the_last(gateway: Gateway, model):
    answer = create(gateway, model, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame.splitlines() for frame in answer.body.decode().split("\n\n") if frame]
    named = [lines for lines in frames if not lines[0].startswith(":")]
    assert all(lines[0].startswith("event: response.") and lines[1].startswith("data: {") for lines in named)
    assert named[-1][0] == "event: response.completed"


@pytest.mark.parametrize("provider", ["", "anthropic/"])
@pytest.mark.parametrize(("fault", "status"), [("sim-404", 404), ("sim-500", 500), ("sim-401", 502)])
def test_a_background_response_that_fails_says_so(gateway: Gateway, provider, fault, status):
    assert create(gateway, provider + fault).status == status
    begun = create(gateway, provider + fault, background=True).json
    failed = eventually(
        lambda: (
            (answer := ask(gateway.url, "GET", f"/openai/responses/{begun['id']}").json)["status"] == "failed"
            and answer
        ),
        DONE_WITHIN_S,
        "the response has not failed",
    )
    assert failed["error"]["message"]
    assert failed["error"]["code"]
    assert failed["output"] == []


@pytest.mark.parametrize("provider", ["", "anthropic/"])
def test_cancelling_a_background_response_ends_the_call_to_the_provider(
    gateway: Gateway, ledger: Ledger, user, provider
):
    name = create(gateway, f"{provider}sim-latency-20000", background=True, user=user).json["id"]
    eventually(lambda: ledger.calls(user), DONE_WITHIN_S, "the provider was not called")
    assert ask(gateway.url, "POST", f"/openai/responses/{name}/cancel").json["status"] == "cancelled"
    eventually(lambda: ledger.calls(user)[0]["aborted"], DONE_WITHIN_S, "the provider is still being waited for")


@BOTH_WIRES
@pytest.mark.parametrize("query", ["?stream=true&starting_after=x", "/input_items?order=x", "/input_items?limit=x"])
def test_a_bad_query_is_refused_by_name(gateway: Gateway, model, query):
    name = create(gateway, model).json["id"]
    answer = ask(gateway.url, "GET", f"/openai/responses/{name}{query}")
    assert_refused(answer, 400, query.removesuffix("=x").rpartition("&" if "&" in query else "?")[2])
