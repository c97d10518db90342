import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key", max_retries=0)
for name in [model.id for model in client.models.list()]:
    assert client.models.retrieve(name).id == name
counted = client.messages.count_tokens(model="claude-haiku-5-5", messages=[{"role": "user", "content": "Hello!"}])
assert counted.input_tokens > 0, counted
try:
    client.messages.create(model="sim-404", max_tokens=9, messages=[{"role": "user", "content": "Hello!"}])
except anthropic.NotFoundError as error:
    print("ok" if error.body["error"]["type"] == "not_found_error" else error.body)
