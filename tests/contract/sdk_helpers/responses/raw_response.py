import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    raw = client.responses.with_raw_response.create(model=model, input="Hello!")
    assert raw.headers["x-bf-job-id"], raw.headers
    response = raw.parse()
    assert response._request_id == raw.headers["x-request-id"], raw.headers
    raw = client.responses.with_raw_response.create(model=model, input="Hello!", stream=True)
    assert raw.headers["content-type"].startswith("text/event-stream"), raw.headers
    assert raw.headers["x-bf-job-id"], raw.headers
    assert list(raw.parse())[-1].response.output_text == response.output_text, model
    found = client.responses.with_raw_response.retrieve(response.id)
    assert found.parse()._request_id == found.headers["x-request-id"] != raw.headers["x-request-id"], found.headers
print("ok")
