import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
names = [model.id for model in client.models.list(limit=1000)]
assert {"claude-sim-large", "openai/gpt-sim-large"} <= set(names), names
assert [model.id for model in client.models.list(limit=1)] == names
assert [model.id for model in client.beta.models.list(limit=3)] == names
newer = client.models.list(before_id=names[3], limit=2)
assert [model.id for model in newer.data] == names[1:3], newer
for name in ("claude-sim-large", "openai/gpt-sim-large"):
    model = client.models.retrieve(name)
    assert (model.type, model.id) == ("model", name), model
    assert model.display_name, model
    assert model.created_at.year >= 1970, model
print("ok")
