import time

import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello!"}]}
job = client.messages.create(model="claude-haiku-5-5", **question, extra_headers={"x-bf-async": "true"})
deadline = time.monotonic() + 60
while True:
    answer = client.messages.create(model="claude-haiku-5-5", **question, extra_headers={"x-bf-async-id": job.id})
    if answer.content:
        break
    assert time.monotonic() < deadline, answer
    time.sleep(0.1)
assert not job.content, job
assert answer.content[0].text, answer
print("ok")
