import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key", max_retries=0)
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    response = client.responses.create(model=model, input="Hello!")
    found = client.responses.retrieve(response.id)
    assert (found.id, found.status, found.output_text) == (response.id, "completed", response.output_text), found
    client.responses.delete(response.id)
    try:
        raise AssertionError(client.responses.retrieve(response.id))
    except openai.NotFoundError as error:
        assert error.request_id, error
print("ok")
