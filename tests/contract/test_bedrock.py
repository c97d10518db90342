"""Models on Bedrock, behind the gateway: plain, streamed, tools, as a job, through both SDKs; signed and with a key."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from tests.contract import process
from tests.contract.asking import KEY, PIXEL, USE_WEATHER, WEATHER, turn
from tests.contract.process import Gateway, eventually
from tests.contract.wire import TIMEOUT_S, Ledger, ask

CLAUDE = "us.anthropic.claude-opus-4-8-v1:0"
SIGNED = "amazon.nova-pro-v1:0"
PROFILE = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"
BOTH_KEYS = pytest.mark.parametrize("model", [f"bedrock/{CLAUDE}", f"bedrock/{SIGNED}", "bedrock/profile"])
CLAUDE_TOOLS = [{"name": "weather", "description": "Tells it.", "input_schema": WEATHER}]
GPT_TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": WEATHER}}]
DONE_WITHIN_S = 20.0
STARTS_WITHIN_S = 15.0


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


@contextlib.contextmanager
def _simulator(folder: Path) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [str(Path(sys.executable).with_name("hermod")), "simulate", "--port", port]
    url, environment = f"http://127.0.0.1:{port}", process.clean_environment()
    with (folder / "simulator.log").open("wb") as output:
        started = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: _answers(url), STARTS_WITHIN_S, "the simulator does not start")
        yield url
    finally:
        started.terminate()
        started.wait()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return ask(url, "GET", "/__health").status == 200
    return False


@pytest.fixture(scope="module")
def bedrock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with Bedrock and OpenAI behind it, both simulated."""
    folder = tmp_path_factory.mktemp("bedrock")
    with _simulator(folder) as url:
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
    asked = {"model": model, "messages": turn(), "max_tokens": 100}
    plain = claude.messages.create(**asked)
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert plain.content[0].text
    assert plain.id
    assert streamed.id
    assert plain.model == streamed.model == model.removeprefix("bedrock/")
    assert [block.text for block in streamed.content] == [block.text for block in plain.content]
    assert (streamed.stop_reason, streamed.usage) == (plain.stop_reason, plain.usage)
    assert plain.usage.output_tokens > 0


@BOTH_KEYS
def test_the_openai_sdk_hears_the_same_plain_and_streamed(gpt: openai.OpenAI, model):
    asked = {"model": model, "messages": turn()}
    plain = gpt.chat.completions.create(**asked)
    with gpt.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()
    assert plain.choices[0].message.content
    assert streamed.choices[0].message.content == plain.choices[0].message.content
    assert streamed.usage.total_tokens == plain.usage.total_tokens > 0
    response = gpt.responses.create(model=model, input=turn()[0]["content"])
    assert (response.status, response.output_text) == ("completed", plain.choices[0].message.content)


@BOTH_KEYS
def test_a_tool_is_called_and_its_result_understood_through_the_anthropic_sdk(claude: anthropic.Anthropic, model):
    asked = {"model": model, "max_tokens": 100, "tools": CLAUDE_TOOLS, "messages": turn(USE_WEATHER)}
    with claude.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    (call,) = streamed.content
    assert (call.type, call.name, set(call.input), streamed.stop_reason) == (
        "tool_use",
        "weather",
        {"city"},
        "tool_use",
    )
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "thunderstorms"}
    turns = [*asked["messages"], {"role": "assistant", "content": streamed.content}, *turn([result])]
    assert "thunderstorms" in claude.messages.create(**{**asked, "messages": turns}).content[0].text


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
    image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    paper = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}
    content = [
        {"type": "image", "source": image},
        {"type": "document", "source": paper, "title": "My *first* paper.pdf"},
    ]
    asked = {"model": f"bedrock/{CLAUDE}", "max_tokens": 100}
    assert claude.messages.create(**asked, messages=turn(content)).content[0].text


def test_the_anthropic_sdk_submits_and_polls(claude: anthropic.Anthropic):
    asked = {"model": f"bedrock/{CLAUDE}", "messages": turn(), "max_tokens": 100}
    job = claude.messages.create(**asked, extra_headers={"x-bf-async": "true"})

    def look() -> anthropic.types.Message | None:
        found = claude.messages.create(**asked, extra_headers={"x-bf-async-id": job.id})
        return found if found.content else None

    assert eventually(look, DONE_WITHIN_S, "the job is not done").stop_reason == "end_turn"


def test_the_openai_sdk_submits_and_polls(gpt: openai.OpenAI):
    asked = {"model": f"bedrock/{SIGNED}", "messages": turn()}
    job = gpt.chat.completions.create(**asked, extra_headers={"x-bf-async": "true"})

    def look() -> openai.types.chat.ChatCompletion | None:
        found = gpt.chat.completions.create(**asked, extra_headers={"x-bf-async-id": job.id})
        return found if found.choices else None

    assert eventually(look, DONE_WITHIN_S, "the job is not done").choices[0].message.content


def test_tokens_are_counted(claude: anthropic.Anthropic):
    assert claude.messages.count_tokens(model=f"bedrock/{CLAUDE}", messages=turn("one two")).input_tokens == 2


def test_each_call_is_signed_or_has_the_key_and_names_its_model(bedrock: Gateway, gpt: openai.OpenAI):
    for user, model, wanted in (("bearer", CLAUDE, CLAUDE), ("signing", "profile", PROFILE)):
        gpt.chat.completions.create(model=f"bedrock/{model}", messages=turn(), user=user)
        (call,) = Ledger(bedrock.simulator).calls(user)
        assert (call["status"], call["model"]) == (200, wanted)
        assert bool(call["key_hash"]) is (user == "bearer")
        assert ("x-amz-date" in call["headers"]["names"]) is (user == "signing")


@pytest.mark.parametrize(("orders", "status"), [("sim-503", 529), ("sim-404", 404), ("sim-403", 502), ("sim-424", 502)])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failure_of_bedrocks_is_told_as_the_clients_api_does(claude: anthropic.Anthropic, orders, status, streamed):
    with pytest.raises(anthropic.APIStatusError) as failed:
        claude.messages.create(model=f"bedrock/{orders}", max_tokens=9, messages=turn(), stream=streamed)
    assert failed.value.status_code == status


def test_a_stream_that_breaks_ends_with_an_error(gpt: openai.OpenAI):
    stream = gpt.chat.completions.create(model="bedrock/sim-stream-error", messages=turn(), stream=True)
    with pytest.raises(openai.APIError, match="unable to process"):
        list(stream)


def test_models_are_listed_though_bedrock_lists_none(bedrock: Gateway):
    answer = ask(bedrock.openai, "GET", "/models")
    assert answer.status == 200, answer.body
    assert answer.json["data"]
