"""What a model of any provider must do behind the gateway, through both SDKs."""

from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import PIXEL, USE_WEATHER, WEATHER, turn
from tests.contract.process import eventually

DONE_WITHIN_S = 60.0
FAILURES = [("sim-503", 529), ("sim-404", 404), ("sim-403", 502)]
"""Orders to the simulator, and the status that Anthropic's clients see."""
CLAUDE_TOOLS = [{"name": "weather", "description": "Tells it.", "input_schema": WEATHER}]
GPT_TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": WEATHER}}]


def says_the_same_plain_and_streamed_to_anthropics(client: anthropic.Anthropic, model: str) -> anthropic.types.Message:
    """Returns the plain answer."""
    asked = {"model": model, "messages": turn(), "max_tokens": 100}
    plain = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert plain.content[0].text
    assert plain.id
    assert streamed.id
    assert streamed.model == plain.model
    assert [block.text for block in streamed.content] == [block.text for block in plain.content]
    assert (streamed.stop_reason, streamed.usage) == (plain.stop_reason, plain.usage)
    assert plain.usage.output_tokens > 0
    return plain


def says_the_same_plain_and_streamed_to_openais(client: openai.OpenAI, model: str) -> None:
    asked = {"model": model, "messages": turn()}
    plain = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()
    assert plain.choices[0].message.content
    assert streamed.choices[0].message.content == plain.choices[0].message.content
    assert streamed.usage.total_tokens == plain.usage.total_tokens > 0
    response = client.responses.create(model=model, input=turn()[0]["content"])
    assert (response.status, response.output_text) == ("completed", plain.choices[0].message.content)


def calls_a_tool_of_anthropics_and_understands_its_result(client: anthropic.Anthropic, model: str) -> None:
    asked = {"model": model, "max_tokens": 100, "tools": CLAUDE_TOOLS, "messages": turn(USE_WEATHER)}
    with client.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    (call,) = streamed.content
    assert (call.type, call.name, set(call.input)) == ("tool_use", "weather", {"city"})
    assert streamed.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "thunderstorms"}
    turns = [*asked["messages"], {"role": "assistant", "content": streamed.content}, *turn([result])]
    assert "thunderstorms" in client.messages.create(**{**asked, "messages": turns}).content[0].text


def takes_an_image_and_a_document(client: anthropic.Anthropic, model: str, **facts: str) -> None:
    """`facts` are of the document."""
    image = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    paper = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}
    content = [{"type": "image", "source": image}, {"type": "document", "source": paper, **facts}]
    assert client.messages.create(model=model, max_tokens=100, messages=turn(content)).content[0].text


def submits_and_polls_with_anthropics(client: anthropic.Anthropic, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": turn(), "max_tokens": 100}
    job = client.messages.create(**asked, extra_headers={"x-bf-async": "true"})

    def look() -> anthropic.types.Message | None:
        found = client.messages.create(**asked, extra_headers={"x-bf-async-id": job.id})
        return found if found.content else None

    assert eventually(look, DONE_WITHIN_S, "the job is not done").stop_reason == "end_turn"


def submits_and_polls_with_openais(client: openai.OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": turn()}
    job = client.chat.completions.create(**asked, extra_headers={"x-bf-async": "true"})

    def look() -> openai.types.chat.ChatCompletion | None:
        found = client.chat.completions.create(**asked, extra_headers={"x-bf-async-id": job.id})
        return found if found.choices else None

    assert eventually(look, DONE_WITHIN_S, "the job is not done").choices[0].message.content


def tells_a_failure(client: anthropic.Anthropic, model: str, status: int, *, streamed: bool) -> None:
    with pytest.raises(anthropic.APIStatusError) as failed:
        client.messages.create(model=model, max_tokens=9, messages=turn(), stream=streamed)
    assert failed.value.status_code == status


def ends_a_broken_stream_with_an_error(client: openai.OpenAI, provider: str, said: str) -> None:
    stream = client.chat.completions.create(model=f"{provider}/sim-stream-error", messages=turn(), stream=True)
    with pytest.raises(openai.APIError, match=said):
        list(stream)
