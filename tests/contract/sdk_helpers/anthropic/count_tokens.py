import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
few, many = ([{"role": "user", "content": text}] for text in ("Hello!", "Hello, hello, hello!"))
schema = {"type": "object", "properties": {"city": {"type": "string"}}}
tools = [{"name": "weather", "description": "Tells the weather.", "input_schema": schema}]
model = "claude-sim-large"
for messages in (client.messages, client.beta.messages):
    count = messages.count_tokens(model=model, messages=few).input_tokens
    assert 0 < count < messages.count_tokens(model=model, messages=many).input_tokens
    assert count < messages.count_tokens(model=model, messages=few, system="Be brief.").input_tokens
    assert count < messages.count_tokens(model=model, messages=few, tools=tools).input_tokens
assert count == client.messages.create(model=model, messages=few, max_tokens=9).usage.input_tokens
print("ok")
