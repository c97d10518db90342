import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
turns = [
    {"role": role, "content": text} for role, text in (("user", "One."), ("assistant", "Two."), ("user", "Three."))
]
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    response = client.responses.create(model=model, input=turns)
    items = list(client.responses.input_items.list(response.id, order="asc"))
    assert [(item.role, item.content[0].text) for item in items] == [
        ("user", "One."),
        ("assistant", "Two."),
        ("user", "Three."),
    ], items
    ids = [item.id for item in items]
    assert len(set(ids)) == 3, ids
    assert [item.id for item in client.responses.input_items.list(response.id)] == ids[::-1]
    assert [item.id for item in client.responses.input_items.list(response.id, order="asc", limit=1)] == ids
    after = client.responses.input_items.list(response.id, order="asc", after=ids[0])
    assert [item.id for item in after.data] == ids[1:], after
    (item,) = client.responses.input_items.list(client.responses.create(model=model, input="Hello!").id).data
    assert (item.type, item.role, item.content[0].type) == ("message", "user", "input_text"), item
    assert item.content[0].text == "Hello!", item
print("ok")
