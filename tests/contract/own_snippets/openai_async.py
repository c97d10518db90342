import time

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
question = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}
job = client.chat.completions.create(**question, extra_headers={"x-bf-async": "true"})
deadline = time.monotonic() + 60
while True:
    answer = client.chat.completions.create(**question, extra_headers={"x-bf-async-id": job.id})
    if answer.choices:
        break
    assert time.monotonic() < deadline, answer
    time.sleep(0.1)
assert not job.choices, job
assert answer.choices[0].message.content, answer
print("ok")
