import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
for model in ("claude-haiku-5-5", "openai/gpt-4o-mini"):
    with client.messages.stream(model=model, **question) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text, message
    assert text == message.content[0].text, message
    assert message.usage.output_tokens > 0, message
    events = [event.type for event in client.messages.create(model=model, stream=True, **question)]
    assert events[0] == "message_start", events
    assert events[-1] == "message_stop", events
print("ok")
