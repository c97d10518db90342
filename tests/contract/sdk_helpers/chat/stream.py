import json

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
schema["additionalProperties"] = False
tools = [{"type": "function", "function": {"name": "weather", "parameters": schema, "strict": True}}]
question = {"messages": [{"role": "user", "content": "Hello!"}], "stream_options": {"include_usage": True}}
wish = {"messages": [{"role": "user", "content": "Please use the tool `weather`."}], "tools": tools}
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    with client.chat.completions.stream(model=model, **question) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    text = completion.choices[0].message.content
    assert text == "".join(event.delta for event in events if event.type == "content.delta"), text
    assert [event.content for event in events if event.type == "content.done"] == [text], text
    assert completion.choices[0].finish_reason == "stop", completion
    assert completion.usage.completion_tokens > 0, completion
    with client.chat.completions.stream(model=model, **wish) as stream:
        events = [event for event in stream if event.type.startswith("tool_calls.function.arguments")]
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "example"}, call
    assert events[-1].type == "tool_calls.function.arguments.done", events
    assert "".join(event.arguments_delta for event in events[:-1]) == call.function.arguments, events
print("ok")
