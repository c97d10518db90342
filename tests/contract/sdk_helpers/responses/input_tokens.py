import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    counted = client.responses.input_tokens.count(model=model, input="Hello!")
    assert counted.object == "response.input_tokens", counted
    assert counted.input_tokens == client.responses.create(model=model, input="Hello!").usage.input_tokens, counted
    more = client.responses.input_tokens.count(model=model, input="Hello!", instructions="Be brief.")
    assert more.input_tokens == counted.input_tokens + 2, more
print("ok")
