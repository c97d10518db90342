import json

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
question = {"messages": [{"role": "user", "content": "Hello!"}]}
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    raw = client.chat.completions.with_raw_response.create(model=model, **question)
    assert raw.headers["x-bf-job-id"], raw.headers
    assert raw.parse()._request_id == raw.headers["x-request-id"], raw.headers
    raw = client.chat.completions.with_raw_response.create(model=model, stream=True, **question)
    assert raw.headers["content-type"].startswith("text/event-stream"), raw.headers
    assert list(raw.parse())[-1].choices[0].finish_reason == "stop", model
    with client.chat.completions.with_streaming_response.create(model=model, **question) as response:
        assert response.headers["x-bf-job-id"], response.headers
        assert json.loads("".join(response.iter_text()))["object"] == "chat.completion", model
print("ok")
