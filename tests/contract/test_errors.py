"""What the caller did wrong is said on both surfaces in the vendor's own words, with the path of the field."""

from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import CLAUDE, GPT, KEY, PROMPT, completion, message, turn
from tests.contract.jobs import BODIES, BOTH, PATHS, poll, submit
from tests.contract.process import Gateway
from tests.contract.wire import Answer, ask

ASYNC = {"x-bf-async": "true"}
TTL = "x-bf-async-job-result-ttl"
KINDS = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large"}
KEYS = {"authorization": f"Bearer {KEY}", "x-api-key": KEY}
UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"
BAD_TTLS = ["0", "-1", "abc", "1.5", "", "604801", "9" * 40]
TOO_LARGE = 40 * 1024 * 1024

BAD_BODIES: list[tuple[Any, str]] = [
    (b"", ""),
    (b'{"model": "', ""),
    (b"\xff\xfe", ""),
    ([], ""),
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"model": ""}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": PROMPT}, "messages"),
    ({"stream": "yes"}, "stream"),
    ({"model": "groq/llama"}, "model"),
    ({"model": "anthropic/"}, "model"),
    ({"model": CLAUDE, "fallbacks": ["groq/llama"]}, "groq"),
]
"""A body, or changes to a valid one, and what the message must name."""


def assert_told(surface: str, answer: Answer, status: int, names: str = "") -> None:
    """The vendor's error body, nothing of the prompt in it, the request id in body or header."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/json")
    assert PROMPT not in answer.body.decode()
    error = answer.json["error"]
    assert names in f"{error['message']} {error.get('param')}"
    if surface == "anthropic":
        assert answer.json["type"] == "error"
        assert error["type"] == KINDS[status]
        assert answer.json["request_id"] == answer.headers["request-id"]
    else:
        assert error.keys() == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"]


def post(gateway: Gateway, surface: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
    return ask(gateway.url, "POST", PATHS[surface], body, {**KEYS, **(headers or {})})


@BOTH
@pytest.mark.parametrize("how", ["plain", "async"])
@pytest.mark.parametrize(("body", "names"), BAD_BODIES, ids=[str(number) for number in range(len(BAD_BODIES))])
def test_a_wrong_body_is_refused_before_any_job_exists(gateway: Gateway, surface, how, body, names):
    sent = BODIES[surface](**body) if isinstance(body, dict) else body
    answer = post(gateway, surface, sent, ASYNC if how == "async" else {})
    assert_told(surface, answer, 400, names)


@BOTH
@pytest.mark.parametrize(
    ("messages", "names"), [([], "messages"), ([PROMPT], "messages"), (turn(5), "content")], ids=["none", "text", "int"]
)
def test_wrong_messages_are_refused_by_the_gateway_or_by_the_provider(gateway: Gateway, surface, messages, names):
    assert_told(surface, post(gateway, surface, BODIES[surface](messages=messages)), 400, names)


@pytest.mark.parametrize("max_tokens", [None, "many", 1.5])
def test_anthropics_token_limit_is_required_and_a_number(gateway: Gateway, max_tokens):
    assert_told("anthropic", post(gateway, "anthropic", message(max_tokens=max_tokens)), 400, "max_tokens")


@BOTH
@pytest.mark.parametrize("field", ["model", "messages", "stream"])
def test_openais_errors_carry_the_path_of_the_field(gateway: Gateway, surface, field):
    if surface == "openai":
        assert post(gateway, surface, completion(**{field: 5})).json["error"]["param"] == field
    else:
        assert post(gateway, surface, message(**{field: 5})).json["error"]["message"].startswith(field)


@BOTH
def test_a_stream_cannot_be_a_job(gateway: Gateway, surface):
    assert_told(surface, post(gateway, surface, BODIES[surface](stream=True), ASYNC), 400, "stream")


@BOTH
@pytest.mark.parametrize("value", BAD_TTLS)
def test_a_bad_time_to_live_is_refused_by_name(gateway: Gateway, surface, value):
    assert_told(surface, post(gateway, surface, BODIES[surface](), {**ASYNC, TTL: value}), 400, TTL)


@BOTH
@pytest.mark.parametrize("value", ["yes", "2", "true false"])
def test_any_other_value_of_x_bf_async_is_refused_by_name(gateway: Gateway, surface, value):
    assert_told(surface, post(gateway, surface, BODIES[surface](), {"x-bf-async": value}), 400, "x-bf-async")


@pytest.mark.parametrize("path", ["/openai/models", "/openai/v1/models", "/anthropic/v1/models"])
def test_a_route_without_jobs_refuses_to_submit_one(gateway: Gateway, path):
    answer = ask(gateway.url, "GET", path, headers=ASYNC)
    assert_told("anthropic" if "anthropic" in path else "openai", answer, 400, "x-bf-async")


@BOTH
def test_jobs_that_are_unknown_anothers_or_of_another_dialect_look_alike(gateway: Gateway, surface):
    mine = submit(gateway, surface, BODIES[surface](), x_bf_vk="vk-mine").json["id"]
    other = next(name for name in PATHS if name != surface)
    asked = [
        poll(gateway, surface, UNKNOWN_JOB, x_bf_vk="vk-mine"),
        poll(gateway, surface, "no uuid at all", x_bf_vk="vk-mine"),
        poll(gateway, surface, mine, x_bf_vk="vk-another"),
        poll(gateway, surface, mine),
    ]
    for answer in asked:
        assert_told(surface, answer, 404)
    assert len({answer.json["error"]["message"] for answer in asked}) == 1
    assert_told(other, poll(gateway, other, mine, x_bf_vk="vk-mine"), 404)
    assert poll(gateway, surface, mine, x_bf_vk="vk-mine").status == 200


@pytest.mark.parametrize("key", ["x-api-key", "authorization"])
def test_a_virtual_key_sent_as_the_sdks_own_key_owns_the_job(gateway: Gateway, key):
    value = {"x-api-key": "sk-bf-mine", "authorization": "Bearer sk-bf-mine"}[key]
    job = ask(gateway.url, "POST", PATHS["anthropic"], message(), {**ASYNC, key: value}).json["id"]
    assert poll(gateway, "anthropic", job, x_bf_vk="sk-bf-mine").status == 200
    assert poll(gateway, "anthropic", job).status == 404


@pytest.mark.parametrize(
    ("surface", "method", "path"),
    [
        ("anthropic", "GET", "/anthropic/v1/skills"),
        ("anthropic", "POST", "/anthropic/v1/complete"),
        ("anthropic", "GET", "/anthropic/v1/messages"),
        ("openai", "GET", "/openai/assistants"),
        ("openai", "POST", "/openai/v1/audio/speech"),
        ("openai", "GET", "/openai/chat/completions"),
    ],
)
def test_a_route_that_is_not_served_is_named(gateway: Gateway, surface, method, path):
    assert_told(surface, ask(gateway.url, method, path, headers=KEYS), 404, path)


@BOTH
def test_a_body_over_the_limit_is_refused(gateway: Gateway, surface):
    huge = BODIES[surface](messages=turn("x" * TOO_LARGE))
    assert_told(surface, post(gateway, surface, huge), 413)


def test_the_anthropic_sdk_raises_the_right_class(claude: anthropic.Anthropic):
    bad = {"x-bf-async": "true", TTL: "0"}
    with pytest.raises(anthropic.BadRequestError, match=TTL):
        claude.messages.create(**message(), extra_headers=bad)
    with pytest.raises(anthropic.BadRequestError, match="groq"):
        claude.messages.create(**message(model="groq/llama"))
    with pytest.raises(anthropic.BadRequestError, match="stream"):
        claude.messages.create(**message(), stream=True, extra_headers=ASYNC)
    with pytest.raises(anthropic.NotFoundError) as missing:
        claude.messages.create(**message(), extra_headers={"x-bf-async-id": UNKNOWN_JOB})
    assert missing.value.request_id
    with pytest.raises(anthropic.ContentTooLargeError):
        claude.messages.create(**message(messages=turn("x" * TOO_LARGE)))


def test_the_openai_sdk_raises_the_right_class(gpt: openai.OpenAI):
    bad = {"x-bf-async": "true", TTL: "0"}
    with pytest.raises(openai.BadRequestError, match=TTL):
        gpt.chat.completions.create(**completion(), extra_headers=bad)
    with pytest.raises(openai.BadRequestError, match="groq") as unknown:
        gpt.chat.completions.create(**completion(model="groq/llama"))
    assert unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="stream"):
        gpt.chat.completions.create(**completion(), stream=True, extra_headers=ASYNC)
    with pytest.raises(openai.NotFoundError) as missing:
        gpt.chat.completions.create(**completion(), extra_headers={"x-bf-async-id": UNKNOWN_JOB})
    assert missing.value.request_id
    with pytest.raises(openai.APIStatusError) as huge:
        gpt.chat.completions.create(**completion(messages=turn("x" * TOO_LARGE)))
    assert huge.value.status_code == 413


def test_neither_prompts_nor_keys_reach_the_log_and_keys_reach_no_file(own_gateway: Gateway):
    for surface, model in (("anthropic", CLAUDE), ("openai", GPT)):
        for body in (b'{"model": "' + PROMPT.encode(), {"messages": PROMPT}, {"model": model}, {"model": "sim-401"}):
            post(own_gateway, surface, BODIES[surface](**body) if isinstance(body, dict) else body)
    assert own_gateway.data is not None
    assert PROMPT not in own_gateway.logged()
    assert KEY not in own_gateway.logged()
    files = [path for path in own_gateway.data.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
