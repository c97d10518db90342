"""Gemini behind the gateway, of the Gemini API and on Vertex: plain, streamed, tools, as a job, through both SDKs."""

import json

import anthropic
import openai
import pytest

from tests.contract import any_provider
from tests.contract.any_provider import CLAUDE_TOOLS, GPT_TOOLS
from tests.contract.asking import USE_WEATHER, WEATHER, turn
from tests.contract.process import Gateway
from tests.contract.wire import ask

BUDGETED, SIGNING, ON_VERTEX = "gemini/gemini-2.5-flash", "gemini/gemini-3-pro", "vertex/gemini-3-flash-preview"
EVERY_MODEL = pytest.mark.parametrize("model", [BUDGETED, SIGNING, ON_VERTEX])
FLAT_TOOLS = [{"type": "function", "name": "weather", "description": "Tells it.", "parameters": WEATHER}]


@EVERY_MODEL
def test_the_anthropic_sdk_hears_the_same_plain_and_streamed(claude: anthropic.Anthropic, model):
    any_provider.says_the_same_plain_and_streamed_to_anthropics(claude, model)


@EVERY_MODEL
def test_the_openai_sdk_hears_the_same_plain_and_streamed(gpt: openai.OpenAI, model):
    any_provider.says_the_same_plain_and_streamed_to_openais(gpt, model)


@EVERY_MODEL
def test_a_tool_is_called_and_its_result_understood_through_the_anthropic_sdk(claude: anthropic.Anthropic, model):
    any_provider.calls_a_tool_of_anthropics_and_understands_its_result(claude, model)


@EVERY_MODEL
def test_parallel_calls_and_their_results_are_understood_through_the_openai_sdk(gpt: openai.OpenAI, model):
    asked = {"model": model, "tools": GPT_TOOLS, "messages": turn(f"{USE_WEATHER} Do so in parallel.")}
    with gpt.chat.completions.stream(**asked) as stream:
        choice = stream.get_final_completion().choices[0]
    calls = choice.message.tool_calls
    assert (choice.finish_reason, len(calls), len({call.id for call in calls})) == ("tool_calls", 2, 2)
    assert [set(json.loads(call.function.arguments)) for call in calls] == [{"city"}, {"city"}]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "thunderstorms"} for call in calls]
    messages = [*asked["messages"], choice.message, *results]
    told = gpt.chat.completions.create(**{**asked, "messages": messages})
    assert told.choices[0].message.content.count("thunderstorms") == 2


@EVERY_MODEL
def test_a_call_of_a_response_goes_back_to_its_model(gpt: openai.OpenAI, model):
    first = gpt.responses.create(model=model, input=USE_WEATHER, tools=FLAT_TOOLS)
    (call,) = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "thunderstorms"}
    told = gpt.responses.create(model=model, previous_response_id=first.id, input=[result], tools=FLAT_TOOLS)
    assert "thunderstorms" in told.output_text


def test_a_call_that_another_model_made_is_taken(claude: anthropic.Anthropic):
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "thunderstorms"}
    turns = [*turn(USE_WEATHER), {"role": "assistant", "content": [call]}, *turn([result])]
    told = claude.messages.create(model=SIGNING, max_tokens=100, tools=CLAUDE_TOOLS, messages=turns)
    assert "thunderstorms" in told.content[0].text


@EVERY_MODEL
@pytest.mark.parametrize("streamed", [False, True])
def test_thoughts_are_shown_and_go_back(claude: anthropic.Anthropic, model, streamed):
    asked = {"model": model, "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    if streamed:
        with claude.messages.stream(**asked, messages=turn()) as stream:
            thought = stream.get_final_message().content
    else:
        thought = claude.messages.create(**asked, messages=turn()).content
    assert [block.type for block in thought][:2] == ["thinking", "text"]
    turns = [*turn(), {"role": "assistant", "content": thought}, *turn("And now?")]
    assert claude.messages.create(**asked, messages=turns).content[1].text


@EVERY_MODEL
def test_an_answer_follows_its_schema(gpt: openai.OpenAI, model):
    schema = {"name": "place", "schema": WEATHER}
    form = {"type": "json_schema", "json_schema": schema}
    told = gpt.chat.completions.create(model=model, messages=turn(), response_format=form)
    assert set(json.loads(told.choices[0].message.content)) == {"city"}


def test_an_image_and_a_document_are_accepted(claude: anthropic.Anthropic):
    any_provider.takes_an_image_and_a_document(claude, BUDGETED)


def test_the_anthropic_sdk_submits_and_polls(claude: anthropic.Anthropic):
    any_provider.submits_and_polls_with_anthropics(claude, BUDGETED)


def test_the_openai_sdk_submits_and_polls(gpt: openai.OpenAI):
    any_provider.submits_and_polls_with_openais(gpt, ON_VERTEX)


@EVERY_MODEL
def test_tokens_are_counted_with_the_system_text(claude: anthropic.Anthropic, model):
    counted = claude.messages.count_tokens(model=model, system="be brief", messages=turn("one two three"))
    assert counted.input_tokens == 5


@pytest.mark.parametrize(("orders", "status"), [*any_provider.FAILURES, ("sim-400", 400)])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_is_told_as_the_clients_api_does(claude: anthropic.Anthropic, orders, status, streamed):
    any_provider.tells_a_failure(claude, f"gemini/{orders}", status, streamed=streamed)


def test_a_stream_that_breaks_ends_with_an_error(gpt: openai.OpenAI):
    any_provider.ends_a_broken_stream_with_an_error(gpt, "gemini", "overloaded")


def test_its_models_are_listed(gateway: Gateway):
    answer = ask(gateway.openai, "GET", "/models")
    assert answer.status == 200, answer.body
    ids = {entry["id"] for entry in answer.json["data"]}
    assert {"gemini/gemini-sim-large", "vertex/gemini-sim-large"} <= ids


def test_embeddings_go_to_the_gemini_apis_own_route_for_them(gateway: Gateway):
    body = {"model": "gemini/text-embedding-3-small", "input": "Hello!", "encoding_format": "float"}
    answer = ask(gateway.url, "POST", "/openai/embeddings", body)
    assert answer.status == 200, answer.body
    assert answer.json["data"][0]["embedding"]


def test_embeddings_on_vertex_are_those_of_its_own_api(gateway: Gateway, gpt: openai.OpenAI):
    asked = {"model": "vertex/text-embedding-005", "input": ["one two", "three"], "dimensions": 4}
    floats = gpt.embeddings.create(**asked, encoding_format="float")
    packed = gpt.embeddings.create(**asked)  # in base64, which the SDK reads itself
    assert [len(one.embedding) for one in floats.data] == [4, 4]
    assert [one.index for one in floats.data] == [0, 1]
    assert packed.data[1].embedding == pytest.approx(floats.data[1].embedding)
    assert (floats.usage.prompt_tokens, floats.model) == (3, "text-embedding-005")
    for wrong in ({"input": [1, 2]}, {"user": 7, "odd": 1}):
        refused = ask(gateway.url, "POST", "/openai/embeddings", {**asked, **wrong})
        assert (refused.status, refused.json["error"]["param"]) == (400, "odd" if "odd" in wrong else "input")
