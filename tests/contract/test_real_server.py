"""A model server that nobody here wrote, behind the gateway: plain, streamed, tools, as a job, through both SDKs."""

import json
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.contract import process, real_server
from tests.contract.asking import KEY
from tests.contract.sdks import NotInstallable
from tests.contract.wire import TIMEOUT_S

MODEL = "vllm/tiny"
SCHEMA = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"]}
HELLO = [{"role": "user", "content": "Hello"}]
WORDS = 24


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a gateway whose only provider is the server."""
    folder = tmp_path_factory.mktemp("real")
    try:
        with real_server.serve(folder / "server.log") as upstream:
            config = folder / "config.json"
            config.write_text(json.dumps({"providers": {"vllm": {"network_config": {"base_url": upstream}}}}))
            gateway = process.start(folder, config)
            yield gateway.url
            assert process.stop(gateway) == 0
    except NotInstallable as why:
        pytest.skip(str(why))


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


@pytest.fixture
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/openai", api_key=KEY, max_retries=0, timeout=TIMEOUT_S) as client:
        yield client


def test_plain(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    message = claude.messages.create(model=MODEL, messages=HELLO, max_tokens=WORDS)
    assert message.usage.output_tokens > 0
    assert (message.type, message.role) == ("message", "assistant")
    assert message.stop_reason in {"end_turn", "max_tokens"}
    chat = gpt.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=WORDS)
    assert chat.usage.completion_tokens > 0
    assert chat.choices[0].finish_reason in {"stop", "length"}
    response = gpt.responses.create(model=MODEL, input="Hello", max_output_tokens=WORDS)
    assert response.status in {"completed", "incomplete"}
    assert response.usage.output_tokens > 0


def test_streamed_says_what_plain_says(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    asked = {"model": MODEL, "messages": HELLO, "max_tokens": WORDS, "extra_body": {"temperature": 0.0}}
    old = {"anthropic-version": "2023-06-01"}  # the one that takes a temperature
    plain = claude.messages.create(**asked, extra_headers=old)
    with claude.messages.stream(**asked, extra_headers=old) as stream:
        streamed = stream.get_final_message()
    assert [block.text for block in streamed.content] == [block.text for block in plain.content]
    assert streamed.stop_reason == plain.stop_reason
    whole = gpt.chat.completions.create(**asked).choices[0]
    chunks = list(gpt.chat.completions.create(**asked, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.message.content
    assert chunks[-1].choices[0].finish_reason == whole.finish_reason


def test_tools(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    tool = {"name": "pick", "description": "Picks.", "input_schema": SCHEMA}
    asked = {"model": MODEL, "messages": HELLO, "max_tokens": 200, "tools": [tool]}
    chosen = {"type": "tool", "name": "pick"}
    message = claude.messages.create(**asked, tool_choice=chosen)
    with claude.messages.stream(**asked, tool_choice=chosen) as stream:
        streamed = stream.get_final_message()
    for found in (message, streamed):
        [call] = [block for block in found.content if block.type == "tool_use"]
        assert (found.stop_reason, call.name) == ("tool_use", "pick")
        assert isinstance(call.input["yes"], bool)
    function = {"type": "function", "function": {"name": "pick", "parameters": SCHEMA}}
    chat = gpt.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        max_tokens=200,
        tools=[function],
        tool_choice={"type": "function", "function": {"name": "pick"}},
    )
    [call] = chat.choices[0].message.tool_calls
    assert isinstance(json.loads(call.function.arguments)["yes"], bool)


def test_as_a_job(claude: anthropic.Anthropic):
    asked = {"model": MODEL, "messages": HELLO, "max_tokens": WORDS}
    job = claude.messages.create(**asked, extra_headers={"x-bf-async": "true"})
    polled = {"x-bf-async-id": job.id, "Prefer": "wait=30"}
    answer = claude.messages.with_raw_response.create(**asked, extra_headers=polled)
    assert answer.headers["x-bf-async-status"] == "succeeded"
    assert answer.parse().usage.output_tokens > 0


def test_its_models_are_listed(claude: anthropic.Anthropic):
    assert any(model.id.startswith("vllm/") for model in claude.models.list())
