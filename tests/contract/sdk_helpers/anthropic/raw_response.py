import json

import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    raw = client.messages.with_raw_response.create(model=model, **question)
    assert raw.headers["x-bf-job-id"], raw.headers
    assert raw.parse()._request_id == raw.headers["request-id"], raw.headers
    raw = client.messages.with_raw_response.create(model=model, stream=True, **question)
    assert raw.headers["content-type"].startswith("text/event-stream"), raw.headers
    assert [event.type for event in raw.parse()][-1] == "message_stop", model
    with client.messages.with_streaming_response.create(model=model, **question) as response:
        assert response.headers["x-bf-job-id"], response.headers
        assert json.loads("".join(response.iter_text()))["stop_reason"] == "end_turn", model
print("ok")
