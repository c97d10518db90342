"""Models on Bedrock, behind the gateway: plain, streamed, tools, as a job, through both SDKs; signed and with a key."""

import json
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.contract import any_provider, process
from tests.contract.any_provider import GPT_TOOLS
from tests.contract.asking import KEY, USE_WEATHER, turn
from tests.contract.process import Gateway
from tests.contract.simulator import simulating
from tests.contract.wire import TIMEOUT_S, Ledger, ask

CLAUDE = "us.anthropic.claude-opus-4-8-v1:0"
SIGNED = "amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"
BOTH_KEYS = pytest.mark.parametrize("model", [f"bedrock/{CLAUDE}", f"bedrock/{SIGNED}", "bedrock/profile"])


def _config(simulator: str) -> dict[str, object]:
    region = {"region": "eu-central-1"}
    signs = {**region, "access_key": "simulator", "secret_key": "simulator", "deployments": {"profile": PROFILE}}
    keys = [
        {"name": "bearer", "value": "sk-bedrock", "models": [CLAUDE], "bedrock_key_config": region},
        {"name": "signing", "value": "", "blacklisted_models": [CLAUDE], "bedrock_key_config": signs},
    ]
    bedrock = {"keys": keys, "network_config": {"base_url": f"{simulator}/bedrock", "max_retries": 0}}
    openai_ = {"keys": [{"value": "sk-openai"}], "network_config": {"base_url": f"{simulator}/v1"}}
    return {"providers": {"bedrock": bedrock, "openai": openai_}}


@pytest.fixture(scope="module")
def bedrock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with Bedrock and OpenAI behind it, both simulated."""
    folder = tmp_path_factory.mktemp("bedrock")
    with simulating(folder) as url:
        config = folder / "config.json"
        config.write_text(json.dumps(_config(url)))
        gateway = process.start(folder, config)
        gateway.simulator = url
        yield gateway
        assert process.stop(gateway) == 0


@pytest.fixture
def claude(bedrock: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=bedrock.anthropic, api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def gpt(bedrock: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=bedrock.openai, api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@BOTH_KEYS
def test_the_anthropic_sdk_hears_the_same_plain_and_streamed(claude: anthropic.Anthropic, model):
    plain = any_provider.says_the_same_plain_and_streamed_to_anthropics(claude, model)
    assert plain.model == model.removeprefix("bedrock/")


@BOTH_KEYS
def test_the_openai_sdk_hears_the_same_plain_and_streamed(gpt: openai.OpenAI, model):
    any_provider.says_the_same_plain_and_streamed_to_openais(gpt, model)


@BOTH_KEYS
def test_a_tool_is_called_and_its_result_understood_through_the_anthropic_sdk(claude: anthropic.Anthropic, model):
    any_provider.calls_a_tool_of_anthropics_and_understands_its_result(claude, model)


@BOTH_KEYS
def test_a_tool_is_called_and_its_result_understood_through_the_openai_sdk(gpt: openai.OpenAI, model):
    asked = {"model": model, "tools": GPT_TOOLS, "messages": turn(USE_WEATHER)}
    choice = gpt.chat.completions.create(**asked).choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, set(json.loads(call.function.arguments))) == ("tool_calls", {"city"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "thunderstorms"}
    messages = [*turn(USE_WEATHER), choice.message, result]
    for choice_of_tools in ("auto", "none"):
        told = gpt.chat.completions.create(model=model, tools=GPT_TOOLS, messages=messages, tool_choice=choice_of_tools)
        assert "thunderstorms" in told.choices[0].message.content


def test_a_thought_goes_back_with_its_signature(claude: anthropic.Anthropic):
    asked = {"model": f"bedrock/{CLAUDE}", "max_tokens": 2000, "thinking": {"type": "adaptive"}}
    with claude.messages.stream(**asked, messages=turn()) as stream:
        thought = stream.get_final_message().content
    assert [block.type for block in thought] == ["thinking", "text"]
    turns = [*turn(), {"role": "assistant", "content": thought}, *turn("And now?")]
    assert claude.messages.create(**asked, messages=turns).content[-1].text


def test_an_image_and_a_document_are_accepted(claude: anthropic.Anthropic):
    any_provider.takes_an_image_and_a_document(claude, f"bedrock/{CLAUDE}", title="My *first* paper.pdf")


def test_the_anthropic_sdk_submits_and_polls(claude: anthropic.Anthropic):
    any_provider.submits_and_polls_with_anthropics(claude, f"bedrock/{CLAUDE}")


def test_the_openai_sdk_submits_and_polls(gpt: openai.OpenAI):
    any_provider.submits_and_polls_with_openais(gpt, f"bedrock/{SIGNED}")


def test_hints_for_the_prompt_cache_are_not_lost(claude: anthropic.Anthropic):
    hint: anthropic.types.CacheControlEphemeralParam = {"type": "ephemeral", "ttl": "1h"}
    answer = claude.messages.with_raw_response.create(
        model=f"bedrock/{CLAUDE}",
        max_tokens=9,
        system=[{"type": "text", "text": "Be kind.", "cache_control": hint}],
        tools=[{"name": "f", "input_schema": {"type": "object"}, "cache_control": hint}],
        messages=turn("Hello"),
        cache_control=hint,
    )
    assert "x-bf-dropped" not in answer.headers


def test_tokens_are_counted(claude: anthropic.Anthropic):
    assert claude.messages.count_tokens(model=f"bedrock/{CLAUDE}", messages=turn("one two")).input_tokens == 2


def test_each_call_is_signed_or_has_the_key_and_names_its_model(bedrock: Gateway, gpt: openai.OpenAI):
    for user, model, wanted in (("bearer", CLAUDE, CLAUDE), ("signing", "profile", PROFILE)):
        gpt.chat.completions.create(model=f"bedrock/{model}", messages=turn(), user=user)
        (call,) = Ledger(bedrock.simulator).calls(user)
        assert (call["status"], call["model"]) == (200, wanted)
        assert bool(call["key_hash"]) is (user == "bearer")
        assert ("x-amz-date" in call["headers"]["names"]) is (user == "signing")


@pytest.mark.parametrize(("orders", "status"), [*any_provider.FAILURES, ("sim-424", 500)])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_is_told_as_the_clients_api_does(claude: anthropic.Anthropic, orders, status, streamed):
    any_provider.tells_a_failure(claude, f"bedrock/{orders}", status, streamed=streamed)


def test_a_stream_that_breaks_ends_with_an_error(gpt: openai.OpenAI):
    any_provider.ends_a_broken_stream_with_an_error(gpt, "bedrock", "unable to process")


def test_models_are_listed_though_bedrock_lists_none(bedrock: Gateway):
    answer = ask(bedrock.openai, "GET", "/models")
    assert answer.status == 200, answer.body
    assert answer.json["data"]
