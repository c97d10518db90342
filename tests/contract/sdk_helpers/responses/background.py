import time

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
for model in ("sim-latency-300", "anthropic/sim-latency-300"):
    begun = client.responses.create(model=model, input="Hello!", background=True)
    assert begun.status in {"queued", "in_progress"}, begun
    assert begun.output == [], begun
    assert begun.model == model, begun
    response = begun
    deadline = time.monotonic() + 60
    while response.status in {"queued", "in_progress"}:
        assert time.monotonic() < deadline, response
        time.sleep(0.1)
        response = client.responses.retrieve(begun.id)
    assert (response.id, response.status) == (begun.id, "completed"), response
    assert response.output_text == client.responses.create(model=model, input="Hello!").output_text, response
    assert response.usage.output_tokens > 0, response
print("ok")
