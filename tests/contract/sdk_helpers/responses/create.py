import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
turns = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": "Hello!"}]},
]
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    for asked in ({"input": "Hello!", "instructions": "Be brief."}, {"input": turns}):
        response = client.responses.create(model=model, **asked)
        assert (response.object, response.status) == ("response", "completed"), response
        assert [(item.type, item.role, item.status) for item in response.output] == [
            ("message", "assistant", "completed")
        ], response
        assert response.output_text, response
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens, response
        assert response.usage.input_tokens == 3, response
        assert response.error is response.incomplete_details is None, response
for model in ("sim-words-100", "anthropic/sim-words-100"):
    response = client.responses.create(model=model, input="Hello!", max_output_tokens=20)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens"), response
    assert len(response.output_text.split()) == 20, response
print("ok")
