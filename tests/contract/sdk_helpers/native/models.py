import openai

client = openai.OpenAI(base_url="http://localhost:8080/v1", api_key="dummy-key", max_retries=0)
names = [model.id for model in client.models.list()]
assert {"openai/gpt-sim-large", "anthropic/claude-sim-large"} <= set(names), names
assert all("/" in name for name in names), names
messages = [{"role": "user", "content": "Hello!"}]
for name in names[:3]:
    assert client.chat.completions.create(model=name, messages=messages).choices[0].message.content, name
print("ok")
