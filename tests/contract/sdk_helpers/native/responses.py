import openai

client = openai.OpenAI(base_url="http://localhost:8080/v1", api_key="dummy-key", max_retries=0)
for model in ("openai/gpt-sim-large", "anthropic/claude-sim-large"):
    response = client.responses.create(model=model, input="Hello!")
    assert response.status == "completed", response
    with client.responses.stream(model=model, input="Hello!") as stream:
        assert stream.get_final_response().output_text == response.output_text, model
print("ok")
