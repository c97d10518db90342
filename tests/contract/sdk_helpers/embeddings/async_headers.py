import time

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
asked = {"model": "sim-latency-300", "input": "Hello!"}
job = client.embeddings.create(**asked, extra_headers={"x-bf-async": "true"})
# Without any vector at all this SDK raises.
assert [item.embedding for item in job.data] == [[]], job
deadline = time.monotonic() + 60
while not (answer := client.embeddings.create(**asked, extra_headers={"x-bf-async-id": job.id})).data[0].embedding:
    assert time.monotonic() < deadline, answer
    time.sleep(0.1)
plain = client.embeddings.create(**asked)
assert answer.data[0].embedding == plain.data[0].embedding, answer
assert len(plain.data[0].embedding) > 1, plain
print("ok")
