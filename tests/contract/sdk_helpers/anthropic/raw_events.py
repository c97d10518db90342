import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    with client.messages.create(model=model, stream=True, **question) as stream:
        events = [event for event in stream if event.type != "ping"]
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"], kinds
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"], kinds
    assert set(kinds[2:-3]) == {"content_block_delta"}, kinds
    assert "".join(event.delta.text for event in events[2:-3]).startswith('You said: "Hello!"'), events
    assert events[0].message.content == [], events[0]
    assert events[-2].delta.stop_reason == "end_turn", events[-2]
    assert events[-2].usage.output_tokens > 0, events[-2]
print("ok")
