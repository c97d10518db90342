import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
names = [model.id for model in client.models.list()]
assert {"gpt-sim-large", "anthropic/claude-sim-large"} <= set(names), names
for name in ("gpt-sim-large", "anthropic/claude-sim-large"):
    model = client.models.retrieve(name)
    assert (model.object, model.id) == ("model", name), model
    assert model.owned_by, model
print("ok")
