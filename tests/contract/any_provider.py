"""What a model of any provider must do behind the gateway, through both SDKs."""

import anthropic
import openai

from tests.contract.asking import USE_WEATHER, WEATHER, turn

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
