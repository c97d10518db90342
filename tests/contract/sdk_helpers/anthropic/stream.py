import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"name": "weather", "description": "Tells the weather.", "input_schema": schema}]
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
wish = {"max_tokens": 100, "messages": [{"role": "user", "content": "Please use the tool `weather`."}], "tools": tools}
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    with client.messages.stream(model=model, **question) as stream:
        events = [event for event in stream if event.type == "text"]
        message = stream.get_final_message()
    assert len(events) > 1, model
    assert events[-1].snapshot == message.content[0].text == "".join(event.text for event in events), model
    assert message.stop_reason == "end_turn", message
    assert message.usage.input_tokens > 0, message
    with client.messages.stream(model=model, **question) as stream:
        assert "".join(stream.text_stream) == stream.get_final_text() == message.content[0].text, model
    with client.messages.stream(model=model, **wish) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        (call,) = stream.get_final_message().content
    assert "".join(pieces).replace(" ", "") == '{"city":"example"}', pieces
    assert (call.name, call.input) == ("weather", {"city": "example"}), call
print("ok")
