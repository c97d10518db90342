import time

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
for model in ("openai/sim-latency-300", "anthropic/sim-latency-300"):
    asked = {"model": model, "input": "Hello!"}
    job = client.responses.create(**asked, extra_headers={"x-bf-async": "true"})
    assert job.status in {"queued", "in_progress"}, job
    assert (job.object, job.output, job.output_text) == ("response", [], ""), job
    deadline = time.monotonic() + 60
    while True:
        answer = client.responses.create(**asked, extra_headers={"x-bf-async-id": job.id})
        if answer.status == "completed":
            break
        assert answer.id == job.id, answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    assert answer.output_text == client.responses.create(**asked).output_text, answer
print("ok")
