import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}], "betas": ["context-1m-2025-08-07"]}
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    message = client.beta.messages.create(model=model, **question)
    assert message.stop_reason == "end_turn", message
    with client.beta.messages.stream(model=model, **question) as stream:
        assert stream.get_final_message().content[0].text == message.content[0].text, model
    events = [event.type for event in client.beta.messages.create(model=model, stream=True, **question)]
    assert (events[0], events[-1]) == ("message_start", "message_stop"), events
print("ok")
