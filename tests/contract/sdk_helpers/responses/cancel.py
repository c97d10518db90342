import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key", max_retries=0)
for model in ("sim-latency-20000", "anthropic/sim-latency-20000"):
    begun = client.responses.create(model=model, input="Hello!", background=True)
    for _ in range(2):
        cancelled = client.responses.cancel(begun.id)
        assert (cancelled.id, cancelled.status) == (begun.id, "cancelled"), cancelled
    assert client.responses.retrieve(begun.id).status == "cancelled"
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    plain = client.responses.create(model=model, input="Hello!")
    try:
        raise AssertionError(client.responses.cancel(plain.id))
    except openai.BadRequestError as error:
        assert "background" in error.message, error
print("ok")
